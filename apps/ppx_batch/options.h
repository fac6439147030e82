// apps/ppx_batch/options.h: the command line of ppx-batch.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rendering/model_options.h"
#include "rendering/prompt_options.h"

namespace CLI {
class App;
}

namespace ppx::app {

// As given: one field an option, the default in place.
struct RawOptions : ModelOptions, PromptOptions {
  std::string manifest;
  std::string suite;
  std::string data;
  std::vector<std::string> tasks;
  std::vector<std::string> scripts;
  std::vector<std::string> matrix;
  double lead_in_s = 0;
  double tail_s = 0;
  std::string speak;
  double speak_timeout_s = 60;

  std::string output_dir;
  std::vector<std::string> also;
  std::string align = "stream";
  std::string sample_format = "pcm16";
  bool no_links = false;

  std::string devices = "auto";
  std::string batch = "auto";
  std::string shard;
  std::string lock = "wait";
  bool verify = false;
  std::optional<int64_t> max_failures;
  bool dry_run = false;

  bool quiet = false;
  bool json = false;
  bool json_progress = false;
};

void AddOptions(CLI::App& app, RawOptions& raw);

// Everything that can be said to be wrong before a file is opened. Throws base::Error (kUsage).
void CheckRaw(const RawOptions& raw);

}  // namespace ppx::app
