#include "metrics/estimate.h"

#include <cmath>
#include <vector>

#include "metrics/proportion.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::metrics {
namespace {

using testing::ErrorOf;

TEST_CASE("a mean with all that belongs to it") {
  const std::vector<double> values{0.5, 0.1, 0.9, 0.3, 0.2};
  const BootstrapOptions options{.resamples = 500, .confidence = 0.9, .seed = 11};
  const Estimate estimate = EstimateMean(values, options);
  CHECK(estimate.n == 5);
  CHECK(estimate.n_unscored == 0);
  CHECK(estimate.value.value() == doctest::Approx(0.4).epsilon(1e-14));
  CHECK(estimate.sd.value() == doctest::Approx(std::sqrt(0.08)).epsilon(1e-14));
  CHECK(estimate.median == 0.3);
  CHECK(estimate.p90.value() == doctest::Approx(0.74).epsilon(1e-14));
  CHECK(estimate.interval_method == "bca");
  CHECK(estimate.statuses.empty());
  const auto interval = BcaIntervalOfMean(values, options);
  REQUIRE(estimate.interval.has_value());
  CHECK(estimate.interval->low == interval->low);
  CHECK(estimate.interval->high == interval->high);
}

TEST_CASE("a mean of one value has no interval") {
  const Estimate estimate = EstimateMean(std::vector{2.5}, {});
  CHECK(estimate.n == 1);
  CHECK(estimate.value == 2.5);
  CHECK(estimate.sd == 0.0);
  CHECK(estimate.median == 2.5);
  CHECK_FALSE(estimate.interval.has_value());
  CHECK(estimate.interval_method.empty());
}

TEST_CASE("nothing is estimated of no values") {
  for (const Estimate& estimate : {EstimateMean({}, {}), EstimateRate({}, 0.95)}) {
    CHECK(estimate.n == 0);
    CHECK_FALSE(estimate.value.has_value());
    CHECK_FALSE(estimate.interval.has_value());
    CHECK_FALSE(estimate.sd.has_value());
    CHECK_FALSE(estimate.median.has_value());
    CHECK_FALSE(estimate.p90.has_value());
    CHECK(estimate.interval_method.empty());
  }
}

TEST_CASE("a rate with its exact interval") {
  std::vector<double> values(55, 0.0);
  for (size_t i = 0; i < 32; ++i) values[i * 3 % 55] = 1.0;
  const Estimate estimate = EstimateRate(values, 0.9);
  CHECK(estimate.n == 55);
  CHECK(estimate.value == 32.0 / 55);
  CHECK(estimate.sd.value() == doctest::Approx(std::sqrt(32.0 * 23) / 55).epsilon(1e-13));
  CHECK_FALSE(estimate.median.has_value());
  CHECK_FALSE(estimate.p90.has_value());
  CHECK(estimate.interval_method == "clopper-pearson");
  REQUIRE(estimate.interval.has_value());
  CHECK(estimate.interval->low == ClopperPearson(32, 55, 0.9).low);
  CHECK(estimate.interval->high == ClopperPearson(32, 55, 0.9).high);
}

TEST_CASE("a rate of one sample still has an interval") {
  const Estimate estimate = EstimateRate(std::vector{1.0}, 0.95);
  CHECK(estimate.value == 1.0);
  REQUIRE(estimate.interval.has_value());
  CHECK(estimate.interval->low == doctest::Approx(0.025).epsilon(1e-12));
  CHECK(estimate.interval->high == 1.0);
}

TEST_CASE("values that cannot be estimated") {
  constexpr auto kInternal = base::ErrorCode::kInternal;
  CHECK(ErrorOf([] { EstimateRate(std::vector{1.0, 0.5}, 0.95); }).code == kInternal);
  CHECK(ErrorOf([] { EstimateRate(std::vector{1.0, 2.0}, 0.95); }).code == kInternal);
  CHECK(ErrorOf([] { EstimateRate(std::vector{1.0, std::nan("")}, 0.95); }).code == kInternal);
  CHECK(ErrorOf([] { EstimateMean(std::vector{1.0, std::nan("")}, {}); }).code == kInternal);
}

}  // namespace
}  // namespace ppx::metrics
