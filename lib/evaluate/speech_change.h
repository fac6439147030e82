// lib/evaluate/speech_change.h: does the agent speak differently after somebody spoke into its
// speech? FullDuplexBench v1.5 (arXiv 2507.23159): rate, pitch and intensity before and after the
// overlap, and of the clean pair, where nobody spoke into it.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "evaluate/sample_inputs.h"
#include "metrics/paired_tests.h"
#include "metrics/scored.h"
#include "report/results.h"

namespace ppx::evaluate {

// By name: words_per_minute, pitch_mean_hz, pitch_sd_hz, intensity_mean_db, intensity_sd_db, each
// with _before, _after and _clean.
struct SpeechChange {
  std::map<std::string, metrics::Scored> values;
};

// The parts meet at the first word boundary at or after the end of the overlap: the end of the word
// that is being said then, else the start of the next one. Pitch is of voiced frames of 50 to 600
// Hz; silence is cut out by the detector before anything is measured, in all three parts.
// Throws base::Error (kBadInput) for files of the clean pair that are damaged; where they are
// missing, _clean has status "no_clean_pair".
SpeechChange SpeechChangeOf(const suite::Task& task, const std::string& folder,
                            const SampleInputs& inputs, const annotate::Vad& vad);

// Paired t tests, "after - before" and "after - clean", over samples that have both.
void AddSpeechTests(const std::string& task, std::span<const SpeechChange> samples,
                    metrics::OutlierRule rule, std::vector<report::PairedTestRow>& tests);

// Holm's adjustment over all of them.
void AdjustForAll(std::vector<report::PairedTestRow>& tests);

}  // namespace ppx::evaluate
