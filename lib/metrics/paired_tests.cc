#include "metrics/paired_tests.h"

#include <algorithm>
#include <array>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/random/mersenne_twister.hpp>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "metrics/descriptive.h"

namespace ppx::metrics {
namespace {

// In the order of OutlierRule.
constexpr std::array<std::string_view, 3> kOutlierRules{"none", "mad", "iqr"};

constexpr size_t kMostEnumerated = 16;

void CheckFinite(std::span<const double> differences) {
  for (const double d : differences) {
    if (!std::isfinite(d)) base::ThrowInternal("a difference that is not finite");
  }
}

// Of the differences that are not 0.
std::vector<double> SortedMagnitudes(std::span<const double> differences) {
  std::vector<double> magnitudes;
  for (const double d : differences) {
    if (d != 0) magnitudes.push_back(std::abs(d));
  }
  std::sort(magnitudes.begin(), magnitudes.end());
  return magnitudes;
}

std::vector<double> WithoutOutliersByMad(std::vector<double> differences) {
  constexpr double kDeviations = 3.5;
  constexpr double kToSd = 1.4826;  // of a normal distribution
  const double median = Median(differences);
  const double mad = MedianAbsoluteDeviation(differences);
  if (mad == 0) return differences;
  std::erase_if(differences,
                [&](double d) { return std::abs(d - median) > kDeviations * kToSd * mad; });
  return differences;
}

std::vector<double> WithoutOutliersByIqr(std::vector<double> differences) {
  constexpr double kFences = 1.5;
  const double q1 = Quantile(differences, 0.25);
  const double q3 = Quantile(differences, 0.75);
  const double low = q1 - kFences * (q3 - q1);
  const double high = q3 + kFences * (q3 - q1);
  std::erase_if(differences, [&](double d) { return d < low || d > high; });
  return differences;
}

std::vector<double> WithoutOutliers(const std::vector<double>& differences, OutlierRule rule) {
  switch (rule) {
    case OutlierRule::kMad:
      return WithoutOutliersByMad(differences);
    case OutlierRule::kIqr:
      return WithoutOutliersByIqr(differences);
    case OutlierRule::kNone:
      break;
  }
  return differences;
}

}  // namespace

double McNemarExact(int64_t only_first, int64_t only_second) {
  if (only_first < 0 || only_second < 0) base::ThrowInternal("a negative count");
  const int64_t changed = only_first + only_second;
  if (changed == 0) return 1;
  const boost::math::binomial fair(static_cast<double>(changed), 0.5);
  return std::min(1.0, 2 * cdf(fair, static_cast<double>(std::min(only_first, only_second))));
}

double SignTest(std::span<const double> differences) {
  CheckFinite(differences);
  const auto up =
      std::count_if(differences.begin(), differences.end(), [](double d) { return d > 0; });
  const auto down =
      std::count_if(differences.begin(), differences.end(), [](double d) { return d < 0; });
  return McNemarExact(down, up);
}

PermutationResult PairedPermutation(std::span<const double> differences, int resamples,
                                    uint64_t seed) {
  if (resamples < 1) base::ThrowInternal("a permutation test without permutations");
  CheckFinite(differences);
  const std::vector<double> magnitudes = SortedMagnitudes(differences);
  if (magnitudes.empty()) return {};
  std::vector<double> sorted(differences.begin(), differences.end());
  std::sort(sorted.begin(), sorted.end(), [](double a, double b) {
    return std::pair(std::abs(a), a) < std::pair(std::abs(b), b);
  });
  double observed = 0;
  double total = 0;
  for (const double d : sorted) observed += d;
  for (const double m : magnitudes) total += m;
  // Equal sums in another order of additions differ in their last bits.
  constexpr double kEqual = 1e-12;
  const double at_least = std::abs(observed) - kEqual * total;
  if (magnitudes.size() <= kMostEnumerated) {
    const uint64_t patterns = uint64_t{1} << magnitudes.size();
    uint64_t extreme = 0;
    for (uint64_t pattern = 0; pattern < patterns; ++pattern) {
      double sum = 0;
      for (size_t i = 0; i < magnitudes.size(); ++i) {
        sum += ((pattern >> i) & 1) != 0 ? -magnitudes[i] : magnitudes[i];
      }
      if (std::abs(sum) >= at_least) ++extreme;
    }
    return {static_cast<double>(extreme) / static_cast<double>(patterns), true};
  }
  boost::random::mt19937_64 generator(seed);
  constexpr size_t kBits = 64;
  int extreme = 0;
  for (int b = 0; b < resamples; ++b) {
    double sum = 0;
    uint64_t signs = 0;
    for (size_t i = 0; i < magnitudes.size(); ++i) {
      if (i % kBits == 0) signs = generator();
      sum += (signs & 1) != 0 ? -magnitudes[i] : magnitudes[i];
      signs >>= 1;
    }
    if (std::abs(sum) >= at_least) ++extreme;
  }
  return {(extreme + 1.0) / (resamples + 1.0), false};
}

std::optional<OutlierRule> OutlierRuleFromName(std::string_view name) {
  const auto found = std::find(kOutlierRules.begin(), kOutlierRules.end(), name);
  if (found == kOutlierRules.end()) return std::nullopt;
  return static_cast<OutlierRule>(found - kOutlierRules.begin());
}

std::string_view Name(OutlierRule rule) { return kOutlierRules.at(static_cast<size_t>(rule)); }

std::optional<PairedTTest> PairedT(std::span<const std::optional<double>> before,
                                   std::span<const std::optional<double>> after, OutlierRule rule) {
  if (before.size() != after.size()) base::ThrowInternal("pairs of unequal lists");
  std::vector<double> differences;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] && after[i]) differences.push_back(*after[i] - *before[i]);
  }
  CheckFinite(differences);
  if (differences.size() < 2) return std::nullopt;
  const std::vector<double> kept = WithoutOutliers(differences, rule);
  if (kept.size() < 2) return std::nullopt;
  PairedTTest test;
  test.n_used = static_cast<int64_t>(kept.size());
  test.n_dropped = static_cast<int64_t>(differences.size()) - test.n_used;
  test.degrees_of_freedom = test.n_used - 1;
  test.mean_difference = Mean(kept);
  const double sd = SampleSd(kept);
  const double error = sd / std::sqrt(static_cast<double>(test.n_used));
  const boost::math::students_t distribution(static_cast<double>(test.degrees_of_freedom));
  const double half_width = quantile(complement(distribution, 0.025)) * error;
  test.interval = Interval{test.mean_difference - half_width, test.mean_difference + half_width};
  if (sd == 0) {
    // t is infinite, or 0 / 0 where the runs do not differ at all.
    if (test.mean_difference != 0) test.p = 0;
    return test;
  }
  test.t = test.mean_difference / error;
  test.p = std::min(1.0, 2 * cdf(complement(distribution, std::abs(*test.t))));
  test.cohen_dz = test.mean_difference / sd;
  return test;
}

}  // namespace ppx::metrics
