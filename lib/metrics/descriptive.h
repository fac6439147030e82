// lib/metrics/descriptive.h: means, spreads and quantiles of a list of numbers.
//
// The order of the values does not change any result: sums are taken over sorted values, so that
// files that were scored in another order give the same bits.
// Every function throws base::Error (kInternal) for a value that is not finite, and, unless said
// otherwise, for no values: whether there is anything to average is the caller's question.
#pragma once

#include <span>

namespace ppx::metrics {

double Mean(std::span<const double> values);

// Divided by n. 0 for one value.
double PopulationSd(std::span<const double> values);

// Divided by n - 1. Needs two values.
double SampleSd(std::span<const double> values);

// Linear interpolation between order statistics at (n - 1) * q, as NumPy's default (type 7 of
// Hyndman and Fan 1996). `q` in [0, 1].
double Quantile(std::span<const double> values, double q);

double Median(std::span<const double> values);

// Median of |x - median|, not scaled.
double MedianAbsoluteDeviation(std::span<const double> values);

}  // namespace ppx::metrics
