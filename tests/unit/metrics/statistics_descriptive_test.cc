#include "metrics/descriptive.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::metrics {
namespace {

using testing::ErrorOf;

// What NumPy 2 and scipy.stats.median_abs_deviation give for these.
const std::vector<double> kValues{2.5, -1.0, 7.25, 3.0, 3.0, 10.5, -4.75};

TEST_CASE("means and deviations") {
  CHECK(Mean(kValues) == doctest::Approx(2.9285714285714284).epsilon(1e-14));
  CHECK(PopulationSd(kValues) == doctest::Approx(4.638184461838577).epsilon(1e-14));
  CHECK(SampleSd(kValues) == doctest::Approx(5.009811801426705).epsilon(1e-14));
  CHECK(MedianAbsoluteDeviation(kValues) == 4.0);
}

TEST_CASE("quantiles interpolate between order statistics") {
  CHECK(Quantile(kValues, 0) == -4.75);
  CHECK(Quantile(kValues, 0.1) == doctest::Approx(-2.5).epsilon(1e-14));
  CHECK(Quantile(kValues, 0.25) == 0.75);
  CHECK(Quantile(kValues, 0.5) == 3.0);
  CHECK(Quantile(kValues, 0.9) == doctest::Approx(8.55).epsilon(1e-14));
  CHECK(Quantile(kValues, 1) == 10.5);
  CHECK(Median(kValues) == 3.0);
  CHECK(Median(std::vector{1.0, 4.0, 2.0, 8.0}) == 3.0);
}

TEST_CASE("one value") {
  const std::vector<double> one{0.7};
  CHECK(Mean(one) == 0.7);
  CHECK(PopulationSd(one) == 0);
  CHECK(Median(one) == 0.7);
  CHECK(Quantile(one, 0.9) == 0.7);
  CHECK(MedianAbsoluteDeviation(one) == 0);
}

TEST_CASE("equal values have their own value as mean, and no deviation") {
  // 0.1 added up n times and divided by n is not 0.1 for many n.
  for (size_t n = 2; n < 100; ++n) {
    const std::vector<double> equal(n, 0.1);
    CHECK(Mean(equal) == 0.1);
    CHECK(PopulationSd(equal) == 0);
    CHECK(SampleSd(equal) == 0);
  }
}

TEST_CASE("the deviation of values far from 0") {
  CHECK(SampleSd(std::vector{1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16}) ==
        doctest::Approx(std::sqrt(30.0)).epsilon(1e-14));
}

TEST_CASE("the order of the values changes no bit") {
  std::vector<double> values{0.1, 1e16, 0.2, -1e16, 0.3, 3.3, -7.7, 1e-9};
  std::sort(values.begin(), values.end());
  const double mean = Mean(values);
  const double population_sd = PopulationSd(values);
  const double sample_sd = SampleSd(values);
  const double quantile = Quantile(values, 0.3);
  const double mad = MedianAbsoluteDeviation(values);
  int orders = 0;
  while (std::next_permutation(values.begin(), values.end())) {
    if (++orders % 97 != 0) continue;
    REQUIRE(Mean(values) == mean);
    REQUIRE(PopulationSd(values) == population_sd);
    REQUIRE(SampleSd(values) == sample_sd);
    REQUIRE(Quantile(values, 0.3) == quantile);
    REQUIRE(MedianAbsoluteDeviation(values) == mad);
  }
  CHECK(orders == 40319);
}

TEST_CASE("what cannot be described") {
  constexpr auto kInternal = base::ErrorCode::kInternal;
  const std::vector<double> none;
  CHECK(ErrorOf([&] { Mean(none); }).code == kInternal);
  CHECK(ErrorOf([&] { PopulationSd(none); }).code == kInternal);
  CHECK(ErrorOf([&] { Quantile(none, 0.5); }).code == kInternal);
  CHECK(ErrorOf([&] { Median(none); }).code == kInternal);
  CHECK(ErrorOf([&] { MedianAbsoluteDeviation(none); }).code == kInternal);
  CHECK(ErrorOf([&] { SampleSd(std::vector{1.0}); }).code == kInternal);
  CHECK(ErrorOf([&] { Quantile(kValues, 1.01); }).code == kInternal);
  CHECK(ErrorOf([&] { Quantile(kValues, -0.01); }).code == kInternal);
  CHECK(ErrorOf([&] { Quantile(kValues, std::nan("")); }).code == kInternal);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()}) {
    const std::vector<double> values{1.0, bad, 2.0};
    CHECK(ErrorOf([&] { Mean(values); }).code == kInternal);
    CHECK(ErrorOf([&] { PopulationSd(values); }).code == kInternal);
    CHECK(ErrorOf([&] { SampleSd(values); }).code == kInternal);
    CHECK(ErrorOf([&] { Median(values); }).code == kInternal);
    CHECK(ErrorOf([&] { MedianAbsoluteDeviation(values); }).code == kInternal);
  }
}

}  // namespace
}  // namespace ppx::metrics
