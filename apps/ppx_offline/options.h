// apps/ppx_offline/options.h: the command line of ppx-offline, and what it comes to.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/offline.h"
#include "hub/model_files.h"
#include "rendering/model_options.h"
#include "rendering/prompt_options.h"

namespace CLI {
class App;
}

namespace ppx::app {

// As given: one field an option, the default in place.
struct RawOptions : ModelOptions, PromptOptions {
  std::string input_wav;
  int channel = 0;
  double lead_in_s = 0;
  double tail_s = 0;
  std::string align = "stream";

  std::string output_dir;
  std::string output_wav;
  std::string output_text;
  std::string output_words;
  std::string output_stereo;
  std::string output_srt;
  std::string output_vtt;
  std::string output_ctm;
  std::string output_textgrid;
  std::string output_record;
  std::string sample_format = "pcm16";
  std::string dialogue_name;
  std::string trace;
  std::vector<std::string> trace_values;
  std::string save_voice;

  std::string device = "auto";
  bool quiet = false;
  bool json = false;
};

// What the run is made of once defaults, persona and lookups are settled.
struct ResolvedOptions {
  RawOptions raw;  // with everything filled in: a run with exactly these options is the same run
  hub::ModelFiles model;
  std::string voice_path;  // empty: none
  engine::Align align = engine::Align::kStream;
  int context = 0;  // 0: the checkpoint's
  lm::SamplingOptions sampling;
  uint64_t seed = 0;
};

void AddOptions(CLI::App& app, RawOptions& raw);

// Applies the persona (below the command line and the run configuration), finds model and voice,
// and checks what can be checked before any work. Throws base::Error.
ResolvedOptions Resolve(const CLI::App& app, const RawOptions& raw,
                        const std::function<void(const std::string&)>& warn);

// The options as a run configuration (--config) would hold them.
nlohmann::ordered_json OptionsJson(const ResolvedOptions& options);

}  // namespace ppx::app
