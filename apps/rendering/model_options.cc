#include "rendering/model_options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <filesystem>

#include "base/error.h"
#include "base/user_folders.h"
#include "common/toolkit_files.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

// The released model's window: dialogues longer than this were never measured.
constexpr int kReleasedContext = 3000;

// The bundled checkpoint that stands in for the released model.
constexpr const char* kStandIn = "mini";

// The folder of a bundled checkpoint; empty where `name` is none.
std::string BundledFolder(const std::string& name) {
  const fs::path folder = fs::path(DataFolder()) / "configs" / name;
  return fs::exists(folder / "model.safetensors") ? folder.string() : "";
}

}  // namespace

void AddModelOptions(CLI::App& app, ModelOptions& options) {
  const char* model = "Model";
  app.add_option("--model", options.model,
                 "Folder, hub name in the hub's cache, or a bundled checkpoint: mini (small, "
                 "converses), tiny (random weights) (default: nvidia/personaplex-7b-v1 where the "
                 "hub's cache has it, else mini)")
      ->envname("PPX_MODEL")
      ->group(model);
  app.add_option("--hf-repo", options.hf_repo, "Hub name; as --model")->group(model);
  app.add_option("--moshi-weight", options.moshi_weight, "Language model, safetensors")
      ->group(model);
  app.add_option("--mimi-weight", options.mimi_weight, "Codec, safetensors")->group(model);
  app.add_option("--tokenizer", options.tokenizer, "SentencePiece model")->group(model);
  app.add_option("--model-config", options.model_config, "config.json with the sizes")
      ->group(model);
  app.add_option("--context", options.context, "Attention window in frames; auto: the checkpoint's")
      ->group(model);
  app.add_option(
         "--beyond-context", options.beyond_context,
         "A dialogue longer than the window: allow (warn), refuse, or auto: refuse where the "
         "window is the released model's 3000 frames or longer")
      ->check(CLI::IsMember({"auto", "allow", "refuse"}))
      ->group(model);

  const char* device = "Device";
  app.add_option("--dtype", options.dtype,
                 "f32 or bf16 for the language model (default: bf16 on CUDA, as stored on the CPU)")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->group(device);
  app.add_option("--quantize", options.quantize,
                 "int8 or, on the CPU alone, int4: weights of the language model in fewer bits; "
                 "kept in the cache on the CPU, for few dialogues at once on a GPU")
      ->check(CLI::IsMember({"int8", "int4"}))
      ->group(device);
  app.add_flag("--cpu-offload", options.cpu_offload,
               "Keep the layers in host memory, for GPUs that cannot hold them")
      ->group(device);
  app.add_option("--threads", options.threads, "CPU threads; 0: all cores, one for a small model")
      ->check(CLI::Range(0, 1024))
      ->group(device);
}

std::string AutoDevice() { return fs::exists("/proc/driver/nvidia/version") ? "cuda" : "cpu"; }

int ParseContext(const std::string& text) {
  if (text == "auto") return 0;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 2 || value > 1 << 20) {
    base::ThrowUsage("--context " + text + ": expected auto or a number of frames, 2 or more");
  }
  return value;
}

hub::ModelFiles FindModel(const ModelOptions& options, const std::string& voice_prompt_dir,
                          const std::function<void(const std::string&)>& warn) {
  hub::ModelRequest request;
  request.model = options.model.empty() ? options.hf_repo : options.model;
  request.moshi_weight = options.moshi_weight;
  request.mimi_weight = options.mimi_weight;
  request.tokenizer = options.tokenizer;
  request.config = options.model_config;
  request.voice_prompt_dir = voice_prompt_dir;

  // Files of a model given one by one belong to a model that the user knows.
  const bool nothing_named = request.model.empty() && request.moshi_weight.empty() &&
                             request.mimi_weight.empty() && request.tokenizer.empty() &&
                             request.config.empty();
  if (nothing_named && !hub::InHubCache(hub::kDefaultRepository)) {
    request.model = BundledFolder(kStandIn);
    if (!request.model.empty()) {
      warn(fmt::format(
          "{} is not on this machine (scripts/fetch-model gets it): this is the bundled '{}', "
          "which says 160 sentences in two voices; --model {} silences this",
          hub::kDefaultRepository, kStandIn, kStandIn));
    }
  } else if (!options.model.empty() && !fs::exists(options.model)) {
    const std::string bundled = BundledFolder(options.model);
    if (!bundled.empty()) request.model = bundled;
  }
  return hub::LocateModel(request);
}

std::string QuantisedFile(const ModelOptions& options, const std::string& moshi_sha256) {
  if (options.quantize.empty()) return "";
  const std::string name = fmt::format("{}-{}.safetensors", moshi_sha256, options.quantize);
  return (base::ToolkitCache() / "quantised" / name).string();
}

std::string QuantisedFile(const ModelOptions& options, const hub::ModelFiles& files,
                          const std::atomic<bool>* cancel) {
  if (options.quantize.empty()) return "";
  return QuantisedFile(options, CachedSha256File(files.moshi_weight, cancel));
}

LengthVerdict CheckLength(const ModelOptions& options, const engine::ModelConfig& config,
                          int64_t prompt_steps, int64_t frames) {
  const int64_t context = config.lm.context;
  if (prompt_steps + frames <= context) return {};
  const bool refuse = options.beyond_context == "refuse" ||
                      (options.beyond_context == "auto" && context >= kReleasedContext);
  const double left_s =
      static_cast<double>(std::max<int64_t>(0, context - prompt_steps)) * config.mimi.frame_s();
  std::string what = fmt::format(
      "the prompt's {} frames and the dialogue's {} are more than the {} that the model looks back "
      "over: from {:.2f} s on the prompt leaves its window",
      prompt_steps, frames, context, left_s);
  if (refuse) what += "; cut the recording, or allow it with --beyond-context allow";
  return {what, refuse};
}

void PutModelOptions(const ModelOptions& options, const hub::ModelFiles& files,
                     nlohmann::ordered_json& json) {
  json["moshi-weight"] = files.moshi_weight;
  json["mimi-weight"] = files.mimi_weight;
  json["tokenizer"] = files.tokenizer;
  if (!files.config.empty()) json["model-config"] = files.config;
  json["context"] = options.context;
  json["beyond-context"] = options.beyond_context;
}

}  // namespace ppx::app
