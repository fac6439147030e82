// Rounding to decimals. Expected values: Python's round().
#include "base/decimal.h"

#include <cmath>
#include <limits>

#include "support/doctest.h"

namespace ppx::base {
namespace {

TEST_CASE("the correctly rounded decimal of the double") {
  CHECK(RoundDecimal(0.25, 1) == 0.2);  // a tie: to even
  CHECK(RoundDecimal(0.35, 1) == 0.3);  // 0.35 lies below 0.35
  CHECK(RoundDecimal(0.75, 1) == 0.8);
  CHECK(RoundDecimal(0.45, 1) == 0.5);  // 0.45 lies above 0.45
  CHECK(RoundDecimal(2.675, 2) == 2.67);
  CHECK(RoundDecimal(1.0005, 3) == 1.0);
  CHECK(RoundDecimal(-0.25, 1) == -0.2);
  CHECK(RoundDecimal(1e300, 3) == 1e300);
  CHECK(RoundDecimal(7.0, 0) == 7.0);
}

TEST_CASE("what is not finite stays") {
  CHECK(std::isnan(RoundDecimal(std::numeric_limits<double>::quiet_NaN(), 1)));
  CHECK(RoundDecimal(std::numeric_limits<double>::infinity(), 1) ==
        std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace ppx::base
