#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "common/console.h"
#include "ppx_eval/commands.h"
#include "ppx_eval/detectors.h"
#include "ppx_eval/results_file.h"
#include "report/gate.h"

namespace ppx::app {
namespace {

struct Options {
  std::string results, gates, baseline;
  std::string junit, markdown;
  bool allow_mismatch = false;
};

// GitHub shows what steps append to this file.
void AppendToStepSummary(const std::string& markdown) {
  const char* path = std::getenv("GITHUB_STEP_SUMMARY");
  if (path == nullptr || *path == '\0') return;
  std::ofstream file(path, std::ios::app);
  file << markdown << "\n";
  file.close();
  if (!file) Warn(fmt::format("{} (GITHUB_STEP_SUMMARY) could not be written", path));
}

base::ExitCode Run(const Options& options) {
  for (const std::string* path : {&options.junit, &options.markdown}) {
    if (!path->empty()) base::CheckWritable(*path);
  }
  const report::Gates gates = report::LoadGates(FindOwnFile(options.gates, "eval/gates"));
  const report::Results results = ReadResults(options.results);
  std::optional<report::Results> baseline;
  if (!options.baseline.empty()) baseline = ReadResults(options.baseline);
  const report::GateReport judged = report::Judge(results, gates, baseline ? &*baseline : nullptr,
                                                  {.allow_mismatch = options.allow_mismatch});
  if (!options.junit.empty()) base::WriteFileAtomically(options.junit, report::ToJunit(judged));
  const std::string markdown = report::ToMarkdown(judged);
  if (!options.markdown.empty()) base::WriteFileAtomically(options.markdown, markdown);
  AppendToStepSummary(markdown);
  std::cout << report::ToText(judged) << std::flush;
  return static_cast<base::ExitCode>(report::GateExitCode(judged));
}

}  // namespace

Command AddGate(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("RESULTS", options->results, "Results to judge (JSON of ppx-eval score)")
      ->required();
  app.add_option("--gates", options->gates, "Gates file, or the name of one in eval/gates/")
      ->required();
  app.add_option("--baseline", options->baseline, "Results for the no-worse-than rules");
  app.add_option("--junit", options->junit, "The verdicts as JUnit XML");
  app.add_option(
      "--markdown", options->markdown,
      "The verdicts in Markdown; also appended to $GITHUB_STEP_SUMMARY where that is set");
  app.add_flag("--allow-mismatch", options->allow_mismatch,
               "Judge against a baseline that was made differently");
  app.footer(
      "Exit codes: 0 all rules hold, 1 a rule is broken, 2 could not judge (also for errors "
      "of the command line)");
  return [options] {
    try {
      return Run(*options);
    } catch (const base::Error& error) {
      // Whatever keeps a gate from judging is "could not judge", never "pass" or "fail".
      fmt::print(stderr, "ppx-eval: {}\n", error.what());
      return base::ExitCode::kUsage;
    }
  };
}

}  // namespace ppx::app
