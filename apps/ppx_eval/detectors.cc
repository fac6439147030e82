#include "ppx_eval/detectors.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "annotate/energy_vad.h"
#include "base/user_folders.h"
#include "torchscript/silero_vad.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

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
  const std::string path =
      !options.vad_model.empty()
          ? options.vad_model
          : (base::ToolkitCache() / "silero-vad-6.2.1" / "silero_vad.jit").string();
  return std::make_unique<torchscript::SileroVad>(path);
}

std::string CacheFolder(const DetectorOptions& options) {
  if (options.no_cache) return "";
  return options.cache.empty() ? (base::ToolkitCache() / "eval").string() : options.cache;
}

}  // namespace ppx::app
