// lib/metrics/estimate.h: a number over samples, with how sure it is and how many samples it is of.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "metrics/bootstrap.h"

namespace ppx::metrics {

// "Unscored" is not zero: a sample without a value is in `n_unscored`, never in the mean.
struct Estimate {
  int64_t n = 0;                // samples in `value`
  int64_t n_unscored = 0;       // samples of the task that have no value, for whatever reason
  std::optional<double> value;  // the mean; no value where n is 0
  std::optional<Interval> interval;
  std::string interval_method;  // "clopper-pearson", "bca"; empty without an interval
  std::optional<double> sd;     // population
  std::optional<double> median;
  std::optional<double> p90;
  std::map<std::string, int64_t> statuses;  // samples by status, where there is more than "ok"
};

// A mean with its bootstrap interval.
Estimate EstimateMean(std::span<const double> values, const BootstrapOptions& options);
// A mean of values that are 0 or 1, with its exact interval; no median and no p90. Throws
// base::Error (kInternal) for another value.
Estimate EstimateRate(std::span<const double> values, double confidence);

}  // namespace ppx::metrics
