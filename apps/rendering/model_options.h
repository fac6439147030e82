// apps/rendering/model_options.h: the options that say which model runs, where and how.
#pragma once

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/engine.h"
#include "hub/model_files.h"

namespace CLI {
class App;
}

namespace ppx::app {

// As given: one field an option, the default in place.
struct ModelOptions {
  std::string model;
  std::string hf_repo;
  std::string moshi_weight;
  std::string mimi_weight;
  std::string tokenizer;
  std::string model_config;
  std::string context = "auto";
  std::string beyond_context = "auto";

  std::string dtype;
  std::string quantize;
  bool cpu_offload = false;
  int threads = 0;
};

// All of them but the device, which programs name in their own ways.
void AddModelOptions(CLI::App& app, ModelOptions& options);

// The device that "auto" stands for: "cuda" where a driver is found, else "cpu".
std::string AutoDevice();

// "auto" is 0. Throws base::Error (kUsage).
int ParseContext(const std::string& text);

// `model` may name a bundled checkpoint. Where nothing is named it is the released model, or, where
// the hub's cache has nothing of that, the bundled `mini` with a warning. Throws base::Error
// (kBadInput) with how to get the model.
hub::ModelFiles FindModel(const ModelOptions& options, const std::string& voice_prompt_dir,
                          const std::function<void(const std::string&)>& warn);

// Where the toolkit's cache keeps weights of this SHA-256 quantised; empty without `quantize`.
std::string QuantisedFile(const ModelOptions& options, const std::string& moshi_sha256);
// The same where nobody has asked for the digest yet: reads the weights, once, to know them again.
std::string QuantisedFile(const ModelOptions& options, const hub::ModelFiles& files,
                          const std::atomic<bool>* cancel);

// What a dialogue of so many frames is told (or, `refused`, refused) where it is longer than the
// model looks back over; empty where it is not.
struct LengthVerdict {
  std::string message;
  bool refused = false;
};
LengthVerdict CheckLength(const ModelOptions& options, const engine::ModelConfig& config,
                          int64_t prompt_steps, int64_t frames);

// The files found and the other options, as --config takes them.
void PutModelOptions(const ModelOptions& options, const hub::ModelFiles& files,
                     nlohmann::ordered_json& json);

}  // namespace ppx::app
