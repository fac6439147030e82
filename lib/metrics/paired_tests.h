// lib/metrics/paired_tests.h: two runs on the same samples, or two measurements of the same sample.
// All p values are two-sided. The order of the samples does not change any result. Every function
// throws base::Error (kInternal) for a negative count and for a difference that is not finite.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "metrics/bootstrap.h"

namespace ppx::metrics {

// Exact test of McNemar (1947) for a yes or no per sample: `only_first` samples were yes in the
// first run alone, `only_second` in the second alone. Binomial with 1/2 over both, doubled tail,
// capped at 1. 1 where the runs never differ.
double McNemarExact(int64_t only_first, int64_t only_second);

// Exact sign test of the differences; zeros are left out. The same arithmetic as McNemarExact.
double SignTest(std::span<const double> differences);

// Permutation test of the mean difference against sign flips. All 2^n sign patterns where at most
// 16 differences are not 0 (`exact`; flipping a 0 changes nothing), else `resamples` random ones
// with +1 in numerator and denominator (Phipson and Smyth 2010). A sum that falls short of the
// observed one by less than 1e-12 of the sum of magnitudes counts as equal to it. 1 for no
// differences.
struct PermutationResult {
  double p = 1;
  bool exact = true;
};
PermutationResult PairedPermutation(std::span<const double> differences, int resamples = 10'000,
                                    uint64_t seed = 1);

// Which differences a paired t test leaves out as outliers, in one pass.
enum class OutlierRule {
  kNone,
  kMad,  // keeps |d - median| <= 3.5 * 1.4826 * MAD; all where MAD is 0
  kIqr   // keeps [Q1 - 1.5 IQR, Q3 + 1.5 IQR], quartiles by linear interpolation
};
// "none", "mad", "iqr".
std::optional<OutlierRule> OutlierRuleFromName(std::string_view name);
std::string_view Name(OutlierRule rule);

// Paired t test of FullDuplexBench v1.5 (arXiv 2507.23159): d = after - before over the pairs where
// both exist, less the outliers. `mean_difference` is over the pairs that are kept.
struct PairedTTest {
  int64_t n_used = 0;
  int64_t n_dropped = 0;  // outliers; pairs with a missing side are in neither count
  double mean_difference = 0;
  std::optional<Interval> interval;  // mean -+ t(0.975, df) sd / sqrt(n)
  std::optional<double> t;           // no value where the deviation is 0
  int64_t degrees_of_freedom = 0;
  std::optional<double> p;         // 0 where the deviation is 0 and the mean is not; no value
                                   // where both are 0
  std::optional<double> cohen_dz;  // mean / sd; no value where sd is 0
};
// No value for fewer than two pairs that are kept. Throws base::Error (kInternal) for lists of
// unequal length.
std::optional<PairedTTest> PairedT(std::span<const std::optional<double>> before,
                                   std::span<const std::optional<double>> after, OutlierRule rule);

}  // namespace ppx::metrics
