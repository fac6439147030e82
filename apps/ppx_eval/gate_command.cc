#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>
#include <string>

#include "base/error.h"
#include "ppx_eval/commands.h"
#include "ppx_eval/gating.h"
#include "ppx_eval/results_file.h"

namespace ppx::app {

Command AddGate(CLI::App& app) {
  struct Options {
    std::string results;
    GatingOptions gating;
  };
  const auto options = std::make_shared<Options>();
  GatingOptions& gating = options->gating;
  app.add_option("RESULTS", options->results, "Results to judge (JSON of ppx-eval score)")
      ->required();
  app.add_option("--gates", gating.gates, "Gates file, or the name of one in eval/gates/")
      ->required();
  app.add_option("--baseline", gating.baseline, "Results for the no-worse-than rules");
  app.add_option("--junit", gating.junit, "The verdicts as JUnit XML");
  app.add_option(
      "--markdown", gating.markdown,
      "The verdicts in Markdown; also appended to $GITHUB_STEP_SUMMARY where that is set");
  app.add_flag("--allow-mismatch", gating.allow_mismatch,
               "Judge against a baseline that was made differently");
  app.footer(
      "Exit codes: 0 all rules hold, 1 a rule is broken, 2 could not judge (also for errors "
      "of the command line)");
  return [options] {
    try {
      const Gating gate(options->gating);
      return gate.Judge(ReadResults(options->results), std::cout);
    } catch (const base::Error& error) {
      // Whatever keeps a gate from judging is "could not judge", never "pass" or "fail".
      fmt::print(stderr, "ppx-eval: {}\n", error.what());
      return base::ExitCode::kUsage;
    }
  };
}

}  // namespace ppx::app
