#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "common/program.h"
#include "ppx_eval/commands.h"
#include "ppx_eval/scoring.h"

namespace ppx::app {

Command AddScore(CLI::App& app) {
  struct Options {
    std::string root;
    ScoringOptions scoring;
  };
  const auto options = std::make_shared<Options>();
  app.add_option("ROOT", options->root, "Root folder of the suite's samples")->required();
  app.add_option("--suite", options->scoring.suite,
                 "Suite file, or the name of one in eval/: fdb-v1.0, fdb-v1.5, service-duplex, "
                 "channels, fdb-examples")
      ->required();
  AddScoringOptions(app, options->scoring);
  AddOriginOptions(app, options->scoring);
  return [options] {
    CatchSignals();
    return ExitCodeOf(Scoring(options->scoring).Score(options->root));
  };
}

}  // namespace ppx::app
