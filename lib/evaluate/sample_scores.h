// lib/evaluate/sample_scores.h: every number of one sample, by every scorer.
//
// Scorers:
//   fdb-exact  what FullDuplexBench's scripts give, defects included
//   fdb-fixed  the same definitions without the defects: speech detected at 16 kHz and not rounded,
//              any takeover counts, no JSD without a backchannel, no latency where it is negative
//   event      speech events of both channels, no transcript (metrics/events.h)
//   v15        the lists and the speech statistics of FullDuplexBench v1.5
//   channel    the floor, words and level (metrics/channel_stats.h)
//   judge      marks and labels, recorded or asked for
//   speaker    likeness of voices
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "evaluate/sample_inputs.h"
#include "metrics/scored.h"
#include "report/results.h"

namespace ppx::evaluate {

struct SampleScores {
  std::vector<report::SampleValue> values;
  std::vector<std::string> flags;
  // Values of which a sample has any number, pooled over samples: by scorer and name.
  std::map<std::pair<std::string, std::string>, std::vector<double>> pooled;

  std::optional<int64_t> question_index;  // as in Marks
  std::optional<MadeWith> made_with;      // as in SampleInputs
  std::string words_file;

  void Add(const std::string& scorer, const std::string& name, const metrics::Scored& scored);
  const report::SampleValue* Find(const std::string& scorer, const std::string& name) const;
};

// All scorers but judge and speaker. `ground_truth`: of the sample's backchannels, may be empty.
SampleScores ScoreSample(const suite::Task& task, const SampleInputs& inputs,
                         std::span<const double> ground_truth);

// Is the value of this metric 0 or 1 in every sample?
bool IsRate(const std::string& metric);
// "", "s", "1/s", "LUFS", ...
std::string UnitOf(const std::string& metric);

}  // namespace ppx::evaluate
