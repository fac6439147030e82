#include "metrics/power.h"

#include <cmath>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::metrics {
namespace {

using testing::ErrorOf;

// Effects in deviations. Found with SciPy 1.17 without its noncentral t: power as the integral of
// the normal tails over the chi distribution of the sample deviation (quad), solved with brentq.
// n = 34 for an effect of half a deviation is the textbook's number (Cohen 1988).
TEST_CASE("the mean difference that a paired t test finds") {
  struct Case {
    int64_t n;
    double alpha, power, effect;
  };
  for (const Case& c :
       {Case{2, 0.05, 0.8, 11.549888435882353}, Case{3, 0.05, 0.8, 3.2640435496995717},
        Case{10, 0.05, 0.8, 0.9960013714554433}, Case{20, 0.05, 0.8, 0.6604416546229743},
        Case{34, 0.05, 0.8, 0.49502809797341457}, Case{55, 0.05, 0.8, 0.38465144498003206},
        Case{200, 0.05, 0.9, 0.23032408713080174}, Case{200, 0.01, 0.8, 0.24368479821224417},
        Case{1000, 0.05, 0.8, 0.08867907559428954}, Case{100000, 0.05, 0.8, 0.008859464582629319},
        Case{2, 0.001, 0.99, 1159.5310516484335}}) {
    CAPTURE(c.n);
    const PowerOptions options{.alpha = c.alpha, .power = c.power};
    const auto one = DetectableMeanDifference(c.n, 1.0, options);
    REQUIRE(one.has_value());
    CHECK(*one == doctest::Approx(c.effect).epsilon(1e-8));
    CHECK(DetectableMeanDifference(c.n, 0.25, options).value() ==
          doctest::Approx(c.effect / 4).epsilon(1e-8));
  }
}

// With many samples the t test is the normal test: (z(1 - alpha / 2) + z(power)) / sqrt(n).
TEST_CASE("the normal approximation for many samples") {
  const double errors = 1.959963984540054 + 0.8416212335729143;
  CHECK(1e3 * DetectableMeanDifference(1'000'000, 1.0).value() ==
        doctest::Approx(errors).epsilon(1e-5));
  CHECK(1e4 * DetectableMeanDifference(100'000'000, 1.0).value() ==
        doctest::Approx(errors).epsilon(1e-5));
}

TEST_CASE("no mean difference") {
  CHECK_FALSE(DetectableMeanDifference(0, 1).has_value());
  CHECK_FALSE(DetectableMeanDifference(1, 1).has_value());
  CHECK_FALSE(DetectableMeanDifference(1, 0).has_value());
  CHECK_FALSE(DetectableMeanDifference(-3, 1).has_value());
  CHECK_FALSE(DetectableMeanDifference(10, -1).has_value());
  CHECK_FALSE(DetectableMeanDifference(10, std::nan("")).has_value());
  CHECK(DetectableMeanDifference(2, 0) == 0.0);
  // A level that two pairs reach with no difference that anybody has.
  CHECK_FALSE(DetectableMeanDifference(2, 1, {.alpha = 1e-10, .power = 0.8}).has_value());
}

// Power as a double sum over the number that changes and its direction, each pattern significant
// or not by the doubled binomial tail (NumPy and scipy.stats.binom), solved with brentq.
TEST_CASE("the rate difference that an exact McNemar test finds") {
  struct Case {
    int64_t n;
    double discordant, alpha, power, difference;
  };
  for (const Case& c :
       {Case{55, 0.3, 0.05, 0.8, 0.2090236121989053}, Case{200, 0.2, 0.05, 0.8, 0.0911637421600313},
        Case{200, 1.0, 0.05, 0.8, 0.203176291174032},
        Case{216, 0.1, 0.05, 0.9, 0.06933260769333924}, Case{6, 1.0, 0.05, 0.8, 0.9269849670475248},
        Case{10, 1.0, 0.05, 0.8, 0.8334801259366047}}) {
    CAPTURE(c.n);
    const auto difference =
        DetectableRateDifference(c.n, c.discordant, {.alpha = c.alpha, .power = c.power});
    REQUIRE(difference.has_value());
    CHECK(*difference == doctest::Approx(c.difference).epsilon(1e-8));
  }
}

// Six changes in one direction are the fewest with p <= 0.05; all six with probability b^6.
TEST_CASE("the smallest McNemar test in closed form") {
  CHECK(DetectableRateDifference(6, 1.0).value() ==
        doctest::Approx(2 * std::pow(0.8, 1.0 / 6) - 1).epsilon(1e-9));
}

TEST_CASE("no rate difference") {
  CHECK_FALSE(DetectableRateDifference(5, 1.0).has_value());
  CHECK_FALSE(DetectableRateDifference(200, 0.01).has_value());
  CHECK_FALSE(DetectableRateDifference(200, 0).has_value());
  CHECK_FALSE(DetectableRateDifference(200, -0.1).has_value());
  CHECK_FALSE(DetectableRateDifference(200, 1.1).has_value());
  CHECK_FALSE(DetectableRateDifference(200, std::nan("")).has_value());
  CHECK_FALSE(DetectableRateDifference(0, 0.5).has_value());
  CHECK_FALSE(DetectableRateDifference(-1, 0.5).has_value());
}

TEST_CASE("more samples find less") {
  double mean = DetectableMeanDifference(5, 1).value();
  for (const int64_t n : {6, 10, 50, 200, 727}) {
    const double next = DetectableMeanDifference(n, 1).value();
    CHECK(next < mean);
    mean = next;
  }
  CHECK(DetectableRateDifference(727, 0.3).value() < DetectableRateDifference(200, 0.3).value());
  CHECK(DetectableRateDifference(200, 0.1).value() < DetectableRateDifference(200, 0.3).value());
}

TEST_CASE("levels and powers that cannot be") {
  for (const PowerOptions& bad :
       {PowerOptions{0, 0.8}, PowerOptions{1, 0.8}, PowerOptions{0.05, 1}, PowerOptions{0.05, 0.05},
        PowerOptions{0.5, 0.4}, PowerOptions{std::nan(""), 0.8},
        PowerOptions{0.05, std::nan("")}}) {
    constexpr auto kInternal = base::ErrorCode::kInternal;
    CHECK(ErrorOf([&] { DetectableMeanDifference(10, 1, bad); }).code == kInternal);
    CHECK(ErrorOf([&] { DetectableRateDifference(10, 0.5, bad); }).code == kInternal);
  }
}

}  // namespace
}  // namespace ppx::metrics
