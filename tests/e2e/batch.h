// tests/e2e/batch.h: ppx-batch on the bundled checkpoint.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "e2e/files.h"

namespace ppx::test {

// Runs ppx-batch on the CPU with the bundled checkpoint, without the user's settings.
RunResult Batch(const Arguments& arguments, RunOptions options = {});
// With these arguments only: subcommands take no model.
RunResult BatchCommand(const Arguments& arguments, const RunOptions& options = {});

// `count` recordings of different lengths, from about 0.3 s up, and a manifest of them. The line of
// dialogue i is ManifestLine(i).
std::string WriteJobs(const Folder& folder, int count);
std::string ManifestLine(int i);

// All files of an output folder by their paths, without the state folder; links by their targets.
std::map<std::string, std::string> Outputs(const std::string& folder);

// The entries of one type of all journals of an output folder.
std::vector<nlohmann::json> JournalEntries(const std::string& folder, const std::string& type);

}  // namespace ppx::test
