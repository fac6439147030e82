#include "metrics/estimate.h"

#include "base/error.h"
#include "metrics/descriptive.h"
#include "metrics/proportion.h"

namespace ppx::metrics {
namespace {

constexpr double kUpperTail = 0.9;

Estimate Described(std::span<const double> values) {
  Estimate estimate;
  estimate.n = static_cast<int64_t>(values.size());
  if (values.empty()) return estimate;
  estimate.value = Mean(values);
  estimate.sd = PopulationSd(values);
  estimate.median = Median(values);
  estimate.p90 = Quantile(values, kUpperTail);
  return estimate;
}

}  // namespace

Estimate EstimateMean(std::span<const double> values, const BootstrapOptions& options) {
  Estimate estimate = Described(values);
  estimate.interval = BcaIntervalOfMean(values, options);
  if (estimate.interval) estimate.interval_method = "bca";
  return estimate;
}

Estimate EstimateRate(std::span<const double> values, double confidence) {
  Estimate estimate = Described(values);
  if (values.empty()) return estimate;
  int64_t successes = 0;
  for (const double value : values) {
    if (value != 0 && value != 1) base::ThrowInternal("a rate of values other than 0 and 1");
    if (value == 1) ++successes;
  }
  // The median of a yes or no says nothing that the rate does not.
  estimate.median.reset();
  estimate.p90.reset();
  estimate.interval = ClopperPearson(successes, estimate.n, confidence);
  estimate.interval_method = "clopper-pearson";
  return estimate;
}

}  // namespace ppx::metrics
