// tests/unit/report/small_results.h: results written by hand, as small as a test can do with.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "metrics/estimate.h"
#include "report/results.h"

namespace ppx::report {

// Bytes that every format must survive: markup, quotes, separators, a formula, an escape sequence,
// a line break, wide characters, and a byte that is not UTF-8.
inline const std::string kHostile = "=1+1|<b>&\"'`*_,\x1b[31m\r\n\xe6\x97\xa5\xe6\x9c\xac\xff]]>";

inline nlohmann::json SmallContext() {
  return {{"suite", {{"name", "fdb-v1.0"}, {"version", 1}, {"sha256", "ab"}}},
          {"transcripts", {{"source", "files"}, {"name", "output.json"}}},
          {"vad", {{"name", "silero"}, {"version", "6.2"}, {"sha256", "cd"}}},
          {"lead_in_s", 0.5},
          {"tail_s", nullptr},
          {"alignment", "stream"},
          {"statistics", {{"confidence", 0.95}, {"resamples", 1000}, {"seed", 1}}}};
}

// A metric over `values`, none of which may be missing: statuses say why; and its samples, whose
// ids count from 1. Values that are there already are added to.
struct OneMetric {
  std::string task = "candor_turn_taking";
  std::string scorer = "fdb-exact";
  std::string name = "takeover_rate";
  MetricKind kind = MetricKind::kRate;
  Direction direction = Direction::kHigherIsBetter;
  std::string unit;
};

inline void Add(Results& results, const OneMetric& of,
                const std::vector<std::optional<double>>& values) {
  Metric metric{of.task, of.scorer, of.name, of.unit, of.kind, of.direction, {}, {}};
  std::vector<double> present;
  int id = 0;
  for (const std::optional<double>& value : values) {
    const std::string name = std::to_string(++id);
    SampleRow* row = nullptr;
    for (SampleRow& known : results.samples) {
      if (known.task == of.task && known.id == name) row = &known;
    }
    if (row == nullptr) {
      results.samples.push_back({of.task, name, of.task + "/" + name, true, "", {}, {}});
      row = &results.samples.back();
    }
    const std::string status = value ? "ok" : "no_response";
    row->values.push_back({of.scorer, of.name, value, status});
    ++metric.estimate.statuses[status];
    if (value) present.push_back(*value);
  }
  const auto statuses = metric.estimate.statuses;
  constexpr double kConfidence = 0.95;
  if (of.kind == MetricKind::kRate) {
    metric.estimate = metrics::EstimateRate(present, kConfidence);
  } else {
    metric.estimate = metrics::EstimateMean(present, {.resamples = 200});
  }
  metric.estimate.statuses = statuses;
  metric.estimate.n_unscored = static_cast<int64_t>(values.size() - present.size());
  results.metrics.push_back(metric);
}

inline Results OneMetricResults(const OneMetric& of,
                                const std::vector<std::optional<double>>& values) {
  Results results;
  results.context = SmallContext();
  Add(results, of, values);
  return results;
}

inline OneMetric Latency() {
  return {"candor_turn_taking",      "event", "response_latency_s", MetricKind::kMean,
          Direction::kLowerIsBetter, "s"};
}

// `ones` ones, then zeros: `n` values.
inline std::vector<std::optional<double>> Ones(int ones, int n) {
  std::vector<std::optional<double>> values(static_cast<size_t>(n), 0.0);
  for (int i = 0; i < ones; ++i) values[static_cast<size_t>(i)] = 1.0;
  return values;
}

// Everything that results can hold: two tasks, three scorers, missing values, references, flags, a
// broken sample, paired tests with and without a t.
inline Results FullResults() {
  Results results = OneMetricResults({}, Ones(8, 10));
  OneMetric event;
  event.scorer = "event";
  Add(results, event, Ones(3, 10));
  Add(results, Latency(), {0.1, -0.25, std::nullopt, 1.0 / 3, 0.4, 0.5, 1e-5, 0.7, 0.8, 1234.5});
  OneMetric silent = Latency();
  silent.task = "icc_backchannel";
  Add(results, silent, {std::nullopt, std::nullopt});
  results.metrics[0].references = {{"PersonaPlex-7B-v1", "model card", 0.908},
                                   {"Moshi", "FullDuplexBench README", 0.941}};
  results.metrics[1].references = {results.metrics[0].references[0]};
  results.samples[1].flags = {"no_speech", "noise_like"};
  results.samples.push_back(
      {"icc_backchannel", "3", "icc_backchannel/3", false, "output.wav: no samples", {}, {}});
  PairedTestRow row{"user_interruption", "words_per_minute", "after - before", {}, 0.04};
  row.test.n_used = 3;
  row.test.mean_difference = 1;
  row.test.interval = metrics::Interval{-1.5, 3.5};
  row.test.t = 1.7;
  row.test.degrees_of_freedom = 2;
  row.test.p = 0.23;
  row.test.cohen_dz = 1;
  results.paired_tests = {row, row};
  results.paired_tests[1].test = {.n_used = 2,
                                  .n_dropped = 1,
                                  .mean_difference = 5,
                                  .interval = {},
                                  .t = {},
                                  .degrees_of_freedom = 1,
                                  .p = {},
                                  .cohen_dz = {}};
  results.paired_tests[1].p_holm.reset();
  return results;
}

// Hostile text wherever results hold text.
inline Results HostileResults() {
  Results results = OneMetricResults(
      {kHostile, kHostile, kHostile, MetricKind::kMean, Direction::kNone, kHostile},
      {0.5, std::nullopt});
  results.context["suite"]["name"] = kHostile;
  results.context["alignment"] = kHostile;
  results.metrics[0].references = {{kHostile, kHostile, 1}};
  results.metrics[0].estimate.statuses[kHostile] = 1;
  results.samples[0].flags = {kHostile};
  results.samples[1].values[0].status = kHostile;
  results.samples.push_back({kHostile, "3", kHostile, false, kHostile, {}, {}});
  results.paired_tests.push_back({kHostile, kHostile, kHostile, {}, {}});
  return results;
}

}  // namespace ppx::report
