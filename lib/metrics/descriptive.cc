#include "metrics/descriptive.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace ppx::metrics {
namespace {

std::vector<double> Sorted(std::span<const double> values, size_t at_least) {
  if (values.size() < at_least) base::ThrowInternal("too few values for a statistic");
  std::vector<double> sorted(values.begin(), values.end());
  for (const double value : sorted) {
    if (!std::isfinite(value)) base::ThrowInternal("a value that is not finite in a statistic");
  }
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

// Never outside the values, where rounding would put it: equal values have exactly that mean, and
// no deviation.
double MeanOfSorted(const std::vector<double>& sorted) {
  double sum = 0;
  for (const double value : sorted) sum += value;
  return std::clamp(sum / static_cast<double>(sorted.size()), sorted.front(), sorted.back());
}

// Sum of squared deviations, the deviations from a mean that was rounded once.
double SquaresOfSorted(const std::vector<double>& sorted) {
  const double mean = MeanOfSorted(sorted);
  double squares = 0;
  for (const double value : sorted) squares += (value - mean) * (value - mean);
  return squares;
}

double QuantileOfSorted(const std::vector<double>& sorted, double q) {
  const double at = static_cast<double>(sorted.size() - 1) * q;
  const auto below = static_cast<size_t>(std::floor(at));
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - static_cast<double>(below));
}

}  // namespace

double Mean(std::span<const double> values) { return MeanOfSorted(Sorted(values, 1)); }

double PopulationSd(std::span<const double> values) {
  const auto sorted = Sorted(values, 1);
  return std::sqrt(SquaresOfSorted(sorted) / static_cast<double>(sorted.size()));
}

double SampleSd(std::span<const double> values) {
  const auto sorted = Sorted(values, 2);
  return std::sqrt(SquaresOfSorted(sorted) / static_cast<double>(sorted.size() - 1));
}

double Quantile(std::span<const double> values, double q) {
  if (!(q >= 0 && q <= 1)) base::ThrowInternal("a quantile outside 0 to 1");
  return QuantileOfSorted(Sorted(values, 1), q);
}

double Median(std::span<const double> values) { return Quantile(values, 0.5); }

double MedianAbsoluteDeviation(std::span<const double> values) {
  const double median = Median(values);
  std::vector<double> deviations;
  for (const double value : values) deviations.push_back(std::abs(value - median));
  return Median(deviations);
}

}  // namespace ppx::metrics
