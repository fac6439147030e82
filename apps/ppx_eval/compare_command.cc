#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>

#include "base/atomic_file.h"
#include "base/small_file.h"
#include "ppx_eval/commands.h"
#include "ppx_eval/results_file.h"
#include "report/compare.h"

namespace ppx::app {
namespace {

struct Options {
  std::string a, b;
  std::string output, markdown;
  bool json = false;
  report::CompareOptions compare;
};

base::ExitCode Run(const Options& options) {
  for (const std::string* path : {&options.output, &options.markdown}) {
    if (!path->empty()) base::CheckWritable(*path);
  }
  const report::Comparison comparison =
      report::Compare(ReadResults(options.a), ReadResults(options.b), options.compare);
  const std::string bytes = report::ToJson(comparison);
  if (!options.output.empty()) base::WriteFileAtomically(options.output, bytes);
  if (!options.markdown.empty()) {
    base::WriteFileAtomically(options.markdown, report::ToMarkdown(comparison));
  }
  std::cout << (options.json ? bytes : report::ToTable(comparison)) << std::flush;
  return base::ExitCode::kOk;
}

}  // namespace

Command AddCompare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("A", options->a, "Results of the first run (JSON of ppx-eval score)")->required();
  app.add_option("B", options->b, "Results of the second run")->required();
  app.add_option("-o,--output", options->output, "The comparison, JSON");
  app.add_option("--markdown", options->markdown, "The table in Markdown");
  app.add_flag("--json", options->json, "JSON on standard output, in place of the table");
  app.add_flag("--allow-mismatch", options->compare.allow_mismatch,
               "Compare results that were made differently (transcripts, detector, lead-in, "
               "alignment, suite)");
  app.add_option("--alpha", options->compare.alpha, "Adjusted p below which a change is called one")
      ->check(CLI::Range(0.0001, 0.5))
      ->capture_default_str();
  app.add_option("--top", options->compare.top, "Samples to list that changed most")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_option("--resamples", options->compare.bootstrap.resamples,
                 "Of bootstrap and permutation")
      ->check(CLI::Range(100, 10'000'000))
      ->capture_default_str();
  app.add_option("--seed", options->compare.bootstrap.seed, "Of both")->capture_default_str();
  return [options] { return Run(*options); };
}

}  // namespace ppx::app
