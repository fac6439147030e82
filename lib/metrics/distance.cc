#include "metrics/distance.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace ppx::metrics {
namespace {

std::vector<double> Normalised(std::span<const double> weights) {
  double sum = 0;
  for (const double weight : weights) {
    if (!std::isfinite(weight) || weight < 0) base::ThrowInternal("an impossible weight");
    sum += weight;
  }
  if (!(sum > 0) || !std::isfinite(sum)) base::ThrowInternal("weights without a sum");
  std::vector<double> normalised(weights.begin(), weights.end());
  for (double& weight : normalised) weight /= sum;
  return normalised;
}

double RelativeEntropy(double p, double middle) { return p > 0 ? p * std::log(p / middle) : 0; }

std::vector<double> Sorted(std::span<const double> values) {
  if (values.empty()) base::ThrowInternal("a distance to no values");
  for (const double value : values) {
    if (!std::isfinite(value)) base::ThrowInternal("a distance to a value that is not finite");
  }
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace

double JensenShannonDistance(std::span<const double> p, std::span<const double> q) {
  if (p.size() != q.size() || p.empty()) base::ThrowInternal("distributions of unequal length");
  const auto a = Normalised(p);
  const auto b = Normalised(q);
  double divergence = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double middle = (a[i] + b[i]) / 2;
    divergence += (RelativeEntropy(a[i], middle) + RelativeEntropy(b[i], middle)) / 2;
  }
  return std::sqrt(std::max(divergence, 0.0));
}

double WassersteinDistance(std::span<const double> a, std::span<const double> b) {
  const auto x = Sorted(a);
  const auto y = Sorted(b);
  std::vector<double> all = x;
  all.insert(all.end(), y.begin(), y.end());
  std::sort(all.begin(), all.end());
  const auto share_up_to = [](const std::vector<double>& sorted, double value) {
    return static_cast<double>(std::upper_bound(sorted.begin(), sorted.end(), value) -
                               sorted.begin()) /
           static_cast<double>(sorted.size());
  };
  double area = 0;
  for (size_t i = 0; i + 1 < all.size(); ++i) {
    area += std::abs(share_up_to(x, all[i]) - share_up_to(y, all[i])) * (all[i + 1] - all[i]);
  }
  return area;
}

}  // namespace ppx::metrics
