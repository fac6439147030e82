#include "ppx_eval/detectors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "annotate/energy_vad.h"
#include "base/error.h"
#include "torchscript/silero_vad.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Where scripts/setup keeps its downloads.
fs::path ToolkitCache() {
  if (const std::string cache = Environment("PPX_CACHE"); !cache.empty()) return cache;
  if (const std::string xdg = Environment("XDG_CACHE_HOME"); !xdg.empty())
    return fs::path(xdg) / "ppx";
  return fs::path(Environment("HOME")) / ".cache" / "ppx";
}

}  // namespace

void AddDetectorOptions(CLI::App& app, DetectorOptions& options) {
  const char* group = "Speech detection";
  app.add_option("--vad", options.vad, "silero (as the benchmark) or energy (a gate on the level)")
      ->check(CLI::IsMember({"silero", "energy"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--vad-model", options.vad_model,
                 "silero_vad.jit; default: the one that scripts/setup fetched")
      ->group(group);
}

void AddCacheOptions(CLI::App& app, DetectorOptions& options) {
  const char* group = "Cache";
  app.add_option("--cache", options.cache,
                 "Folder that keeps detected speech, transcripts and verdicts by content "
                 "(default: $XDG_CACHE_HOME/ppx/eval)")
      ->group(group);
  app.add_flag("--no-cache", options.no_cache, "Neither read nor write a cache")->group(group);
}

std::unique_ptr<annotate::Vad> MakeVad(const DetectorOptions& options) {
  if (options.vad == "energy") return std::make_unique<annotate::EnergyVad>();
  const std::string path = !options.vad_model.empty()
                               ? options.vad_model
                               : (ToolkitCache() / "silero-vad-6.2.1" / "silero_vad.jit").string();
  return std::make_unique<torchscript::SileroVad>(path);
}

std::string CacheFolder(const DetectorOptions& options) {
  if (options.no_cache) return "";
  return options.cache.empty() ? (ToolkitCache() / "eval").string() : options.cache;
}

std::string FindOwnFile(const std::string& name, const std::string& folder) {
  std::error_code ignored;
  if (fs::is_regular_file(name, ignored)) return name;
  const fs::path own = fs::path(PPX_DATA_DIR) / folder;
  if (name.find('/') == std::string::npos) {
    const fs::path candidate = own / (name + ".yaml");
    if (fs::is_regular_file(candidate, ignored)) return candidate.string();
  }
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(own, ignored)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  base::ThrowBadInput(fmt::format("{}: no such file, and none of the toolkit's own: {}", name,
                                  fmt::join(names, ", ")));
}

}  // namespace ppx::app
