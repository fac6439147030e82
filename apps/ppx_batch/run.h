// apps/ppx_batch/run.h: the three things that ppx-batch does.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "ppx_batch/options.h"

namespace CLI {
class App;
}

namespace ppx::app {

// Renders what is missing.
base::ExitCode Render(const CLI::App& app, const RawOptions& raw);

struct FolderOptions {
  std::string output_folder;
  std::vector<std::string> others;  // merge: copies of the folder from other machines
  bool json = false;
  bool quiet = false;
};

// Files against the journal; kItemsFailed where something is missing or changed.
base::ExitCode VerifyFolder(const FolderOptions& options);

// The journals of all shards into one; kItemsFailed where the plan has gaps.
base::ExitCode MergeJournals(const FolderOptions& options);

}  // namespace ppx::app
