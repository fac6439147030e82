#include "metrics/bootstrap.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "metrics/descriptive.h"

namespace ppx::metrics {
namespace {

std::vector<double> ResampledMeans(const std::vector<double>& values,
                                   const BootstrapOptions& options) {
  boost::random::mt19937_64 generator(options.seed);
  boost::random::uniform_int_distribution<size_t> place(0, values.size() - 1);
  std::vector<double> means;
  means.reserve(static_cast<size_t>(options.resamples));
  for (int b = 0; b < options.resamples; ++b) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[place(generator)];
    means.push_back(sum / static_cast<double>(values.size()));
  }
  std::sort(means.begin(), means.end());
  return means;
}

// Skewness of the jackknife over 6. How far the mean falls without a value is that value's
// deviation over n - 1, and the ratio does not change with a positive factor.
double Acceleration(const std::vector<double>& values, double mean) {
  double cubes = 0;
  double squares = 0;
  for (const double value : values) {
    const double deviation = value - mean;
    squares += deviation * deviation;
    cubes += deviation * deviation * deviation;
  }
  const double scale = std::pow(squares, 1.5);
  return scale > 0 ? cubes / (6 * scale) : 0;
}

}  // namespace

std::optional<Interval> BcaIntervalOfMean(std::span<const double> values,
                                          const BootstrapOptions& options) {
  if (options.resamples < 1 || !(options.confidence > 0 && options.confidence < 1)) {
    base::ThrowInternal("a bootstrap without resamples or with an impossible confidence");
  }
  if (values.empty()) return std::nullopt;
  const double mean = Mean(values);  // fails for what cannot be sorted
  if (values.size() < 2) return std::nullopt;
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  if (sorted.front() == sorted.back()) return Interval{mean, mean};
  const std::vector<double> means = ResampledMeans(sorted, options);

  // Resamples below the mean, those equal to it half: a discrete statistic has ties. Equal sums in
  // another order of additions differ in their last bits.
  constexpr double kEqual = 1e-12;
  const double near = kEqual * std::max(std::abs(sorted.front()), std::abs(sorted.back()));
  const auto below = std::lower_bound(means.begin(), means.end(), mean - near) - means.begin();
  const auto not_above = std::upper_bound(means.begin(), means.end(), mean + near) - means.begin();
  const auto count = static_cast<double>(means.size());
  const double share =
      std::clamp(static_cast<double>(below + not_above) / 2 / count, 0.5 / count, 1 - 0.5 / count);
  const boost::math::normal normal;
  const double bias = boost::math::quantile(normal, share);
  const double acceleration = Acceleration(sorted, mean);
  const auto end = [&](double tail) {
    const double z = bias + boost::math::quantile(normal, tail);
    const double adjusted = boost::math::cdf(normal, bias + z / (1 - acceleration * z));
    return Quantile(means, std::clamp(adjusted, 0.0, 1.0));
  };
  const double tail = (1 - options.confidence) / 2;
  const double low = end(tail);
  const double high = end(1 - tail);
  return Interval{std::min(low, high), std::max(low, high)};
}

}  // namespace ppx::metrics
