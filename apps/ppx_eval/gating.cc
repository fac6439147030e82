#include "ppx_eval/gating.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

#include "base/atomic_file.h"
#include "common/console.h"
#include "common/toolkit_files.h"
#include "ppx_eval/results_file.h"

namespace ppx::app {
namespace {

// GitHub shows what steps append to this file.
void AppendToStepSummary(const std::string& markdown) {
  const char* path = std::getenv("GITHUB_STEP_SUMMARY");
  if (path == nullptr || *path == '\0') return;
  std::ofstream file(path, std::ios::app);
  file << markdown << "\n";
  file.close();
  if (!file) Warn(fmt::format("{} (GITHUB_STEP_SUMMARY) could not be written", path));
}

}  // namespace

Gating::Gating(const GatingOptions& options) : options_(options) {
  for (const std::string* path : {&options.junit, &options.markdown}) {
    if (!path->empty()) base::CheckWritable(*path);
  }
  gates_ = report::LoadGates(FindOwnFile(options.gates, "eval/gates"));
  if (!options.baseline.empty()) baseline_ = ReadResults(options.baseline);
}

base::ExitCode Gating::Judge(const report::Results& results, std::ostream& out) const {
  const report::GateReport judged =
      report::Judge(results, gates_, baseline_ ? &*baseline_ : nullptr,
                    {.allow_mismatch = options_.allow_mismatch});
  if (!options_.junit.empty()) base::WriteFileAtomically(options_.junit, report::ToJunit(judged));
  const std::string markdown = report::ToMarkdown(judged);
  if (!options_.markdown.empty()) base::WriteFileAtomically(options_.markdown, markdown);
  AppendToStepSummary(markdown);
  out << report::ToText(judged) << std::flush;
  return static_cast<base::ExitCode>(report::GateExitCode(judged));
}

}  // namespace ppx::app
