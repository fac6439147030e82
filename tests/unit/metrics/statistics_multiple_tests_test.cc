#include "metrics/multiple_tests.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::metrics {
namespace {

using testing::ErrorOf;

void CheckAdjusted(const std::vector<double>& p_values, const std::vector<double>& expected) {
  const auto adjusted = HolmAdjust(p_values);
  REQUIRE(adjusted.size() == expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(adjusted[i] == doctest::Approx(expected[i]).epsilon(1e-14));
  }
}

TEST_CASE("Holm's adjustment by hand") {
  // 4 * 0.005, 3 * 0.01, 2 * 0.03, 1 * 0.04 raised to the one before.
  CheckAdjusted({0.01, 0.04, 0.03, 0.005}, {0.03, 0.06, 0.06, 0.02});
  // 3 * 0.5 is more than 1, and so is everything after.
  CheckAdjusted({0.9, 0.5, 0.7}, {1, 1, 1});
  CheckAdjusted({0.01, 0.01, 0.01}, {0.03, 0.03, 0.03});
  CheckAdjusted({0, 0.2, 1}, {0, 0.4, 1});
  CheckAdjusted({0.03}, {0.03});
  CheckAdjusted({}, {});
}

TEST_CASE("adjusted values keep their order, never fall and stay below Bonferroni's") {
  std::vector<double> p_values;
  for (int i = 0; i < 40; ++i) p_values.push_back((i * 17 % 41) / 200.0);
  const auto adjusted = HolmAdjust(p_values);
  for (size_t i = 0; i < p_values.size(); ++i) {
    CHECK(adjusted[i] >= p_values[i]);
    CHECK(adjusted[i] <= std::min(1.0, 40 * p_values[i]));
    for (size_t j = 0; j < p_values.size(); ++j) {
      if (p_values[i] < p_values[j]) CHECK(adjusted[i] <= adjusted[j]);
    }
  }
}

TEST_CASE("what is not a p value") {
  for (const double bad : {-0.1, 1.1, std::nan("")}) {
    CHECK(ErrorOf([&] { HolmAdjust(std::vector{0.5, bad}); }).code == base::ErrorCode::kInternal);
  }
}

}  // namespace
}  // namespace ppx::metrics
