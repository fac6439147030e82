// apps/ppx_eval/gating.h: results judged by rules: what `gate` and `run` have in common.
#pragma once

#include <optional>
#include <ostream>
#include <string>

#include "base/error.h"
#include "report/gate.h"
#include "report/results.h"

namespace ppx::app {

struct GatingOptions {
  std::string gates, baseline;
  std::string junit, markdown;
  bool allow_mismatch = false;
};

class Gating {
 public:
  // Reads the rules and the baseline. `options` must outlive it. Throws base::Error for files that
  // are missing, damaged or cannot be written.
  explicit Gating(const GatingOptions& options);

  // Writes the verdicts, appends them to $GITHUB_STEP_SUMMARY where that is set, tells them on
  // `out`, and returns 0 pass, 1 fail, 2 could not judge. Throws base::Error (kUsage) for a
  // baseline that was made differently, and as base/atomic_file.h.
  base::ExitCode Judge(const report::Results& results, std::ostream& out) const;

 private:
  const GatingOptions& options_;
  report::Gates gates_;
  std::optional<report::Results> baseline_;
};

}  // namespace ppx::app
