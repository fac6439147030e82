#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/program.h"
#include "ppx_eval/batch_program.h"
#include "ppx_eval/commands.h"
#include "ppx_eval/gating.h"
#include "ppx_eval/scoring.h"

namespace ppx::app {
namespace {

constexpr const char* kFooter = R"(Examples:
  # FullDuplexBench v1.0 from its recordings to a table with the published numbers beside
  ppx-eval run fdb-v1.0 --data v1.0/ --output-dir runs/a -o a.json

  # options of ppx-batch go behind --; a gate decides the exit code
  ppx-eval run fdb-v1.0 --data v1.0/ --output-dir runs/b -o b.json --gates personaplex-v1 \
      -- --devices all --seed 7

Killed and started again it goes on: what is rendered already is not rendered again. Exit codes are
those of ppx-batch where it could not do its work. Else, with --gates: 1 a rule is broken, 2 could
not judge. Else 1 where a dialogue could not be rendered or scored.)";

struct Options {
  std::string data;
  std::string output_dir;
  std::vector<std::string> batch;
  ScoringOptions scoring;
  GatingOptions gating;
};

void CheckBatchOptions(const std::vector<std::string>& options) {
  if (!options.empty() && !options.front().starts_with('-')) {
    base::ThrowUsage(options.front() + ": unexpected; options of ppx-batch go behind --");
  }
  constexpr std::array<std::string_view, 10> kNotHere{
      "--manifest", "--suite", "--data",  "--task",    "--scripts",
      "--matrix",   "-o",      "--shard", "--dry-run", "--output-dir"};
  for (const std::string& option : options) {
    const std::string name = option.substr(0, option.find('='));
    if (std::find(kNotHere.begin(), kNotHere.end(), name) == kNotHere.end()) continue;
    base::ThrowUsage(fmt::format(
        "-- {}: run renders one suite, whole, to score it; use ppx-batch, then ppx-eval score",
        name));
  }
}

std::vector<std::string> BatchArguments(const Options& options) {
  std::vector<std::string> arguments{"--suite", options.scoring.suite, "--data", options.data};
  const auto add = [&](const char* name, const std::string& value) {
    arguments.insert(arguments.end(), {name, value});
  };
  if (!options.output_dir.empty()) add("--output-dir", options.output_dir);
  for (const std::string& task : options.scoring.tasks) add("--task", task);
  if (options.scoring.quiet) arguments.emplace_back("--quiet");
  arguments.insert(arguments.end(), options.batch.begin(), options.batch.end());
  return arguments;
}

base::ExitCode Run(const Options& options) {
  CatchSignals();
  CheckBatchOptions(options.batch);
  const std::string program = FindBatchProgram();
  // Before the work of hours, so that a mistake shows at once.
  const Scoring scoring(options.scoring);
  std::unique_ptr<Gating> gating;
  if (!options.gating.gates.empty()) gating = std::make_unique<Gating>(options.gating);

  const base::ExitCode rendered = RunBatchProgram(program, BatchArguments(options));
  const report::Results results =
      scoring.Score(options.output_dir.empty() ? options.data : options.output_dir);
  if (gating) {
    const base::ExitCode judged =
        gating->Judge(results, options.scoring.json ? std::cerr : std::cout);
    if (judged != base::ExitCode::kOk) return judged;
  }
  return rendered == base::ExitCode::kOk ? ExitCodeOf(results) : rendered;
}

}  // namespace

Command AddRun(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("SUITE", options->scoring.suite,
                 "Suite file, or the name of one in eval/: fdb-v1.0, fdb-v1.5, service-duplex, "
                 "fdb-examples")
      ->required();
  app.add_option("BATCH_OPTIONS", options->batch,
                 "Behind --: options of ppx-batch, such as --devices, --batch, --persona, --seed");
  app.add_option("--data", options->data, "Root folder of the suite's samples")->required();
  app.add_option("--output-dir", options->output_dir,
                 "Folder for what is rendered; default: beside each recording");
  AddScoringOptions(app, options->scoring);

  const char* gate = "Gate";
  CLI::Option* gates =
      app.add_option("--gates", options->gating.gates,
                     "Judge the results by these rules: a file, or the name of one in eval/gates/")
          ->group(gate);
  app.add_option("--baseline", options->gating.baseline, "Results for the no-worse-than rules")
      ->needs(gates)
      ->group(gate);
  app.add_option("--junit", options->gating.junit, "The verdicts as JUnit XML")
      ->needs(gates)
      ->group(gate);
  app.footer(kFooter);
  return [options] { return Run(*options); };
}

}  // namespace ppx::app
