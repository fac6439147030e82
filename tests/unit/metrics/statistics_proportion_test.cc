#include "metrics/proportion.h"

#include <boost/math/distributions/binomial.hpp>
#include <cmath>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::metrics {
namespace {

using testing::ErrorOf;

// scipy.stats.binomtest(successes, trials).proportion_ci(confidence, "exact") of SciPy 1.17.
TEST_CASE("exact intervals of rates") {
  struct Case {
    int64_t successes, trials;
    double confidence, low, high;
  };
  for (const Case& c :
       {Case{0, 10, 0.95, 0.0, 0.30849710781876294}, Case{10, 10, 0.95, 0.6915028921812371, 1.0},
        Case{3, 10, 0.95, 0.06673951117773447, 0.652452850060008}, Case{1, 1, 0.95, 0.025, 1.0},
        Case{0, 1, 0.95, 0.0, 0.975}, Case{32, 55, 0.95, 0.4410584105771002, 0.7134547547510844},
        Case{168, 200, 0.95, 0.7817009846486591, 0.8879125023541984},
        Case{5, 20, 0.99, 0.05833393605890944, 0.5597609077584391},
        Case{1, 1000, 0.9, 5.129197890907456e-05, 0.004734993575492847},
        Case{500000, 1000000, 0.95, 0.4990195191953118, 0.5009804808046883}}) {
    CAPTURE(c.successes);
    CAPTURE(c.trials);
    const Interval interval = ClopperPearson(c.successes, c.trials, c.confidence);
    CHECK(interval.low == doctest::Approx(c.low).epsilon(1e-11));
    CHECK(interval.high == doctest::Approx(c.high).epsilon(1e-11));
  }
}

TEST_CASE("no and only successes have closed forms") {
  for (const int64_t n : {1, 2, 7, 55, 216}) {
    const double root = std::pow(0.025, 1.0 / static_cast<double>(n));
    CHECK(ClopperPearson(0, n).low == 0);
    CHECK(ClopperPearson(0, n).high == doctest::Approx(1 - root).epsilon(1e-12));
    CHECK(ClopperPearson(n, n).low == doctest::Approx(root).epsilon(1e-12));
    CHECK(ClopperPearson(n, n).high == 1);
  }
}

TEST_CASE("the ends leave half of what is not covered on either side") {
  for (int64_t successes = 1; successes < 23; ++successes) {
    const Interval interval = ClopperPearson(successes, 23, 0.9);
    const auto x = static_cast<double>(successes);
    const boost::math::binomial at_low(23, interval.low);
    const boost::math::binomial at_high(23, interval.high);
    CHECK(cdf(complement(at_low, x - 1)) == doctest::Approx(0.05).epsilon(1e-9));
    CHECK(cdf(at_high, x) == doctest::Approx(0.05).epsilon(1e-9));
  }
}

TEST_CASE("successes and failures are mirror images") {
  for (int64_t successes = 0; successes <= 30; ++successes) {
    const Interval interval = ClopperPearson(successes, 30);
    const Interval mirrored = ClopperPearson(30 - successes, 30);
    CHECK(interval.low == doctest::Approx(1 - mirrored.high).epsilon(1e-12));
    CHECK(interval.low <= static_cast<double>(successes) / 30);
    CHECK(interval.high >= static_cast<double>(successes) / 30);
  }
}

TEST_CASE("counts and confidences that cannot be") {
  constexpr auto kInternal = base::ErrorCode::kInternal;
  CHECK(ErrorOf([] { ClopperPearson(0, 0); }).code == kInternal);
  CHECK(ErrorOf([] { ClopperPearson(-1, 5); }).code == kInternal);
  CHECK(ErrorOf([] { ClopperPearson(6, 5); }).code == kInternal);
  CHECK(ErrorOf([] { ClopperPearson(1, -5); }).code == kInternal);
  CHECK(ErrorOf([] { ClopperPearson(1, 5, 0); }).code == kInternal);
  CHECK(ErrorOf([] { ClopperPearson(1, 5, 1); }).code == kInternal);
  CHECK(ErrorOf([] { ClopperPearson(1, 5, std::nan("")); }).code == kInternal);
}

}  // namespace
}  // namespace ppx::metrics
