// ppx-batch: many dialogues through PersonaPlex at once, and nothing lost.
#include <CLI/CLI.hpp>

#include "common/program.h"
#include "ppx_batch/options.h"
#include "ppx_batch/run.h"

namespace ppx::app {
namespace {

void AddFolderOptions(CLI::App& command, FolderOptions& options) {
  command.add_option("OUT", options.output_folder, "Output folder of ppx-batch")->required();
  command.add_flag("--json", options.json, "The report as JSON");
  command.add_flag("-q,--quiet", options.quiet, "Only the exit code");
}

int Main(int argc, char** argv) {
  CLI::App app("Renders many dialogues through PersonaPlex at once; a run that was killed goes on.",
               "ppx-batch");
  RawOptions raw;
  AddOptions(app, raw);
  FolderOptions check;
  CLI::App* verify = app.add_subcommand(
      "verify", "Compare the files of an output folder with its journal; changes nothing");
  AddFolderOptions(*verify, check);
  CLI::App* merge = app.add_subcommand(
      "merge", "Join the journals of all shards into one, and report what the plan lacks");
  AddFolderOptions(*merge, check);
  merge->add_option("--from", check.others,
                    "Also the journals of these folders: copies from other machines");
  return RunProgram(app, argc, argv, [&] {
    if (verify->parsed()) return VerifyFolder(check);
    if (merge->parsed()) return MergeJournals(check);
    return Render(app, raw);
  });
}

}  // namespace
}  // namespace ppx::app

int main(int argc, char** argv) { return ppx::app::Main(argc, argv); }
