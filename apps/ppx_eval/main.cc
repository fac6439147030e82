// ppx-eval: scores dialogues of full-duplex speech models, compares runs, gates releases.
#include <CLI/CLI.hpp>
#include <map>

#include "common/program.h"
#include "ppx_eval/commands.h"

namespace ppx::app {
namespace {

constexpr const char* kExamples = R"(Examples:
  # FullDuplexBench v1.0 in its own folder layout: a table, and results for later
  ppx-eval score v1.0/ --suite fdb-v1.0 -o results.json

  # the same from recordings of users: rendered by ppx-batch, then scored
  ppx-eval run fdb-v1.0 --data v1.0/ --output-dir runs/a -o results.json -- --devices all

  # what changed between two runs, with intervals and p values
  ppx-eval compare before.json after.json

  # fail a CI job when quality falls
  ppx-eval gate results.json --gates personaplex-v1 --junit gate.xml

  # one pair of recordings; how exact the detectors are
  ppx-eval stats agent.wav user.wav
  ppx-eval selftest
)";

int Main(int argc, char** argv) {
  CLI::App app("Scores dialogues of full-duplex speech models, compares runs, gates releases.",
               "ppx-eval");
  app.set_version_flag("--version", VersionText("ppx-eval"));
  app.footer(std::string(kExamples) + "\n" + ExitCodeHelp());
  app.require_subcommand(1);
  std::map<const CLI::App*, Command> commands;
  const auto add = [&](const char* name, const char* description, Command (*adder)(CLI::App&)) {
    CLI::App* command = app.add_subcommand(name, description);
    commands[command] = adder(*command);
  };
  add("score", "Score a folder of dialogues", AddScore);
  add("run", "Render a suite with ppx-batch, score it, show published numbers beside", AddRun);
  add("compare", "Compare two results", AddCompare);
  add("gate", "Judge results by rules: exit code 0 pass, 1 fail, 2 could not judge", AddGate);
  add("stats", "Statistics of one pair of recordings", AddStats);
  add("vad", "Stretches of speech of a recording", AddVad);
  add("selftest", "Measure the detectors on scenes with known speech", AddSelftest);
  return RunProgram(app, argc, argv, [&] { return commands.at(app.get_subcommands().front())(); });
}

}  // namespace
}  // namespace ppx::app

int main(int argc, char** argv) { return ppx::app::Main(argc, argv); }
