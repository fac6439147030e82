// lib/evaluate/score.h: a folder of dialogues in, results out.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "annotate/vad.h"
#include "base/progress.h"
#include "evaluate/sample_inputs.h"
#include "judge/judge.h"
#include "metrics/bootstrap.h"
#include "metrics/paired_tests.h"
#include "report/results.h"
#include "suite/suite.h"
#include "torchscript/speaker_embedding.h"

namespace ppx::evaluate {

struct ScoreOptions {
  std::string root;
  std::vector<std::string> tasks;  // of the suite; empty: all
  TranscriptOptions transcripts;
  const annotate::Vad* vad = nullptr;  // not null
  std::string cache_folder;            // empty: none
  int threads = 0;                     // 0: one a processor
  metrics::BootstrapOptions bootstrap;
  // Backchannel ground truth {"sample id": [weight of each 0.2 s window]}; empty: the suite's file
  // under the root, where it is there.
  std::string ground_truth;
  // Judges by name (Task::judge); tasks whose judge is not here keep recorded verdicts only.
  std::map<std::string, judge::Judge*> judges;
  const torchscript::SpeakerModel* speaker = nullptr;          // null: no speaker similarity
  std::string voice_prompt;                                    // WAV; needed with `speaker`
  metrics::OutlierRule outliers = metrics::OutlierRule::kMad;  // of the paired tests of v1.5
  // Floor transfer offsets in seconds to compare with; empty: none.
  std::vector<double> reference_offsets_s;
  base::Progress* progress = nullptr;         // not null
  const std::atomic<bool>* cancel = nullptr;  // may be null
};

// Scores every sample on its own: one that is broken is a row with a reason, the rest are scored.
// The context of the results holds the suite, the detector, the transcripts and the statistics; the
// caller adds what it alone knows (its version, how the dialogues were made).
// Throws base::Error for what concerns all: the root, the ground truth file, the voice prompt, a
// judge that fails its controls, kInterrupted.
report::Results Score(const suite::Suite& suite, const ScoreOptions& options);

}  // namespace ppx::evaluate
