#include "e2e/batch.h"

#include <filesystem>
#include <sstream>

#include "e2e/offline.h"

namespace ppx::test {

namespace fs = std::filesystem;

RunResult BatchCommand(const Arguments& arguments, const RunOptions& options) {
  return RunProgram(Arguments{PPX_BATCH} + arguments, CleanEnvironment(options));
}

RunResult Batch(const Arguments& arguments, RunOptions options) {
  options.environment.emplace("PPX_DEVICES", "cpu");
  return BatchCommand(Arguments{"--model", TinyFolder(), "--voice-prompt", "FLITE0"} + arguments,
                      options);
}

std::string ManifestLine(int i) {
  const nlohmann::json line{{"id", "set/" + std::to_string(i)},
                            {"audio", std::to_string(i) + ".wav"},
                            {"text_prompt", i % 2 == 0 ? "You are kind." : "You are a bank."},
                            {"seed", i % 3}};
  return line.dump() + "\n";
}

std::string WriteJobs(const Folder& folder, int count) {
  std::string manifest;
  for (int i = 0; i < count; ++i) {
    const size_t samples = 7000 + static_cast<size_t>(i * 7919 % 23) * 1500;
    WriteRecording(folder / (std::to_string(i) + ".wav"),
                   Noise(samples, static_cast<unsigned>(i + 1)));
    manifest += ManifestLine(i);
  }
  WriteBytes(folder / "jobs.jsonl", manifest);
  return folder / "jobs.jsonl";
}

std::map<std::string, std::string> Outputs(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (auto entry = fs::recursive_directory_iterator(folder);
       entry != fs::recursive_directory_iterator(); ++entry) {
    if (entry->path().filename() == ".ppx-batch") {
      entry.disable_recursion_pending();
      continue;
    }
    const std::string name = entry->path().lexically_relative(folder).string();
    if (entry->is_symlink()) {
      files[name] = "-> " + fs::read_symlink(entry->path()).string();
    } else if (entry->is_regular_file()) {
      files[name] = ReadBytes(entry->path().string());
    }
  }
  return files;
}

std::vector<nlohmann::json> JournalEntries(const std::string& folder, const std::string& type) {
  std::vector<nlohmann::json> entries;
  for (const auto& file : fs::directory_iterator(folder + "/.ppx-batch")) {
    if (!file.path().filename().string().starts_with("journal")) continue;
    std::istringstream lines(ReadBytes(file.path().string()));
    for (std::string line; std::getline(lines, line);) {
      const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
      // A line cut short by a kill says nothing.
      if (json.is_discarded() || json.at("entry").at("type") != type) continue;
      entries.push_back(json.at("entry"));
    }
  }
  return entries;
}

}  // namespace ppx::test
