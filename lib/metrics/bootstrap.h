// lib/metrics/bootstrap.h: confidence intervals of a mean by resampling.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace ppx::metrics {

// Closed: low <= high.
struct Interval {
  double low = 0;
  double high = 0;
};

struct BootstrapOptions {
  int resamples = 10'000;
  double confidence = 0.95;
  uint64_t seed = 1;  // the same values, in any order, and the same seed give the same interval
};

// Bias-corrected and accelerated interval of the mean (Efron 1987, "Better bootstrap confidence
// intervals"; acceleration by the jackknife). No value for fewer than two values. Where all values
// are equal the interval is that point. Throws base::Error (kInternal) for a value that is not
// finite, for no resamples, and for a confidence outside (0, 1).
std::optional<Interval> BcaIntervalOfMean(std::span<const double> values,
                                          const BootstrapOptions& options = {});

}  // namespace ppx::metrics
