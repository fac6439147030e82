// apps/ppx_eval/detectors.h: options that several subcommands share: the detector, the cache.
#pragma once

#include <memory>
#include <string>

#include "annotate/vad.h"

namespace CLI {
class App;
}

namespace ppx::app {

struct DetectorOptions {
  std::string vad = "silero";
  std::string vad_model;  // empty: where scripts/setup puts it
  std::string cache;      // empty: the user's cache folder
  bool no_cache = false;
};

void AddDetectorOptions(CLI::App& app, DetectorOptions& options);
void AddCacheOptions(CLI::App& app, DetectorOptions& options);

std::unique_ptr<annotate::Vad> MakeVad(const DetectorOptions& options);

// Empty where no cache is wanted.
std::string CacheFolder(const DetectorOptions& options);

}  // namespace ppx::app
