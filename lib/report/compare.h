// lib/report/compare.h: two results of the same suite, sample by sample.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "metrics/bootstrap.h"
#include "report/results.h"

namespace ppx::report {

struct CompareOptions {
  bool allow_mismatch = false;  // compare results that were made differently
  double alpha = 0.05;          // adjusted p below which a change is called one
  int top = 10;                 // samples to list that changed most
  metrics::BootstrapOptions bootstrap = {};
};

enum class Verdict { kBetter, kWorse, kDiffers, kCannotTell };
// "better", "worse", "differs", "cannot tell".
std::string_view Name(Verdict verdict);

// B against A, over the samples that have a value in both: a difference over other samples would
// mix the runs with the samples.
struct MetricChange {
  std::string task, scorer, name, unit;
  MetricKind kind = MetricKind::kMean;
  Direction direction = Direction::kNone;
  int64_t n = 0;                       // samples with a value in both
  int64_t only_a = 0, only_b = 0;      // samples with a value in one run alone
  std::optional<double> a, b;          // means over the n samples
  std::optional<double> own_a, own_b;  // each run's own value, over its own samples
  int64_t own_n_a = 0, own_n_b = 0;
  std::optional<double> difference;           // b - a
  std::optional<metrics::Interval> interval;  // of the mean of the paired differences, BCa
  std::string test;                           // "mcnemar" for rates, "permutation" for means
  std::optional<double> p, p_holm;            // no value for n = 0; adjusted over the tests of
                                              // metrics that have a better direction, or have none
  // The smallest difference that this many samples, as scattered as these, would show with 80 %
  // power at alpha; no value where none is.
  std::optional<double> detectable;
  Verdict verdict = Verdict::kCannotTell;
};

struct SampleChange {
  std::string task, id, scorer, name;
  std::string folder_a, folder_b;  // under the root, where the results say which that was
  double a = 0, b = 0;
  double spreads = 0;  // |b - a| in standard deviations of that metric's differences
};

struct Comparison {
  CompareOptions options;
  std::vector<std::string> mismatches;  // how the results were made differently, if allowed
  // In A's order. What is pooled over samples has nothing to pair: n = 0, own values only.
  std::vector<MetricChange> changes;
  std::vector<SampleChange> samples;        // the `top` that changed most, then by task and id
  std::vector<std::string> only_a, only_b;  // "task scorer metric" that the other does not have
};

// Why the two should not be compared, one line each: another suite or version of it, other
// transcripts, detector, lead-in, tail, alignment or scoring version; also another model or prompt
// of a judge, or another speaker model, where both runs have one. What both do not know counts as
// equal, what one alone knows as different.
std::vector<std::string> Mismatches(const Results& a, const Results& b);

// Throws base::Error (kUsage) with all mismatches unless they are allowed, and kBadInput where the
// results have no metric in common.
Comparison Compare(const Results& a, const Results& b, const CompareOptions& options);

std::string ToJson(const Comparison& comparison);
std::string ToTable(const Comparison& comparison);
std::string ToMarkdown(const Comparison& comparison);

}  // namespace ppx::report
