// lib/report/results.h: what one scoring of one run found. Plain data: the formats are functions
// beside it (results_json, csv, markdown, table), the judgements are `compare` and `gate`.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "metrics/estimate.h"
#include "metrics/paired_tests.h"

namespace ppx::report {

// Of the JSON layout. Rises when a reader of the old one would misread the new one.
inline constexpr int kSchemaVersion = 1;

// Of the numbers. Rises, with a line in CHANGELOG.md, whenever the same audio and transcripts give
// another value; results of different versions are not compared unless told.
inline constexpr int kScoringVersion = 1;

enum class Direction { kNone, kHigherIsBetter, kLowerIsBetter };
enum class MetricKind {
  kRate,  // every sample's value is 0 or 1
  kMean   // a number a sample
};

// A published number to put beside ours.
struct Reference {
  std::string system;  // "PersonaPlex-7B-v1"
  std::string source;  // "model card"
  double value = 0;
};

// One number over the samples of a task.
struct Metric {
  std::string task;    // "candor_turn_taking"
  std::string scorer;  // "fdb-exact", "fdb-fixed", "event", "channel", "judge", "speaker", "v15"
  std::string name;    // "takeover_rate", "response_latency_s"; unique with task and scorer
  std::string unit;    // "", "s", "1/s", "LUFS"
  MetricKind kind = MetricKind::kMean;
  Direction direction = Direction::kNone;
  metrics::Estimate estimate;
  std::vector<Reference> references;
};

// One value of one sample.
struct SampleValue {
  std::string scorer;
  std::string name;
  std::optional<double> value;  // finite
  std::string status;           // "ok" where there is a value, else why not: "no_response", ...
};

struct SampleRow {
  std::string task;
  std::string id;      // folder name of the sample; unique within its task
  std::string folder;  // path as it was found under the root: "candor_turn_taking/17"
  bool scored = false;
  std::string reason;              // one line: why it could not be scored; empty where it was
  std::vector<std::string> flags;  // degenerate output: "no_speech", "noise_like", ...
  std::vector<SampleValue> values;
};

// A paired t test over the samples of a task (FullDuplexBench v1.5: speech before and after an
// overlap, and without one).
struct PairedTestRow {
  std::string task;
  std::string name;        // "words_per_minute"
  std::string comparison;  // "after - before", "after - clean"
  metrics::PairedTTest test;
  std::optional<double> p_holm;  // adjusted over all tests of the results
};

struct Results {
  int scoring_version = kScoringVersion;
  // Everything that is needed to repeat the scoring and to know whether two results may be
  // compared: program and version, suite (name, version, sha256), transcripts, vad, lead_in_s,
  // tail_s, alignment, statistics, judges.
  nlohmann::json context = nlohmann::json::object();
  std::vector<Metric> metrics;  // in the suite's order
  std::vector<PairedTestRow> paired_tests;
  std::vector<SampleRow> samples;  // by task in the suite's order, then by id, numbers as numbers

  int64_t broken_samples() const;
};

}  // namespace ppx::report
