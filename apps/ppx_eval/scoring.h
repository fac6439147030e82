// apps/ppx_eval/scoring.h: a suite scored, told and written: what `score` and `run` have in common.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "metrics/bootstrap.h"
#include "ppx_eval/detectors.h"
#include "report/results.h"

namespace CLI {
class App;
}

namespace ppx::app {

struct ScoringOptions {
  std::string suite;  // a file, or the name of one in eval/
  std::vector<std::string> tasks;
  std::string output, csv, markdown;
  bool json = false;
  bool quiet = false;
  int threads = 0;

  std::string transcripts = "auto";
  std::string asr;
  double asr_timeout_s = 600;
  bool write_transcripts = false;
  DetectorOptions detector;

  metrics::BootstrapOptions bootstrap;
  std::string outliers = "mad";
  std::string ground_truth;
  std::string reference_offsets;

  std::optional<double> lead_in_s, tail_s;
  std::string alignment;

  std::string judge_url;
  std::string judge_model;
  std::string judge_key_variable;
  double judge_per_minute = 0;
  int judge_concurrent = 4;
  double judge_timeout_s = 120;
  int judge_retries = 5;
  std::vector<double> judge_prices;

  std::string speaker_model;
  std::string voice_prompt;
};

// All but the suite, and how the dialogues were made.
void AddScoringOptions(CLI::App& app, ScoringOptions& options);
// How the dialogues were made, for those whose files do not tell.
void AddOriginOptions(CLI::App& app, ScoringOptions& options);

// Everything that scoring needs, opened: mistakes show before the work. One thread.
class Scoring {
 public:
  // `options` must outlive it. Throws base::Error: kUsage for options that do not fit together,
  // and what concerns the suite file, the detector, judges, models and output paths.
  explicit Scoring(const ScoringOptions& options);
  ~Scoring();
  Scoring(const Scoring&) = delete;
  Scoring& operator=(const Scoring&) = delete;

  // Scores the samples under `root`, writes the output files and prints the table (or the results,
  // or nothing). Broken samples are counted in a warning. Throws as evaluate::Score and
  // base/atomic_file.h.
  report::Results Score(const std::string& root) const;

 private:
  struct Parts;
  const ScoringOptions& options_;
  std::unique_ptr<Parts> parts_;
};

// kItemsFailed where a sample could not be scored.
base::ExitCode ExitCodeOf(const report::Results& results);

}  // namespace ppx::app
