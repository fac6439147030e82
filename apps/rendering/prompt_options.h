// apps/rendering/prompt_options.h: the options that say who the agent is and how it is sampled, and
// what a dialogue starts from once they are settled.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "hub/model_files.h"
#include "text/persona.h"
#include "text/tokenizer.h"

namespace CLI {
class App;
}

namespace ppx::app {

// As given: one field an option, the default in place.
struct PromptOptions {
  std::string persona;
  std::string text_prompt;
  std::string voice_prompt;
  std::string voice_prompt_dir;

  int64_t seed = 0;
  bool greedy = false;
  double temp_audio = 0.8;
  double temp_text = 0.7;
  int topk_audio = 250;
  int topk_text = 25;
};

void AddPromptOptions(CLI::App& app, PromptOptions& options);

// A persona by its file or by its name in prompts/, its voice resolved where it lies beside it.
// Throws base::Error (kBadInput).
text::Persona FindPersona(const std::string& name);

// Takes from the persona what `given` (by option name, "--seed") says was not given.
void ApplyPersona(const text::Persona& persona, const std::function<bool(const char*)>& given,
                  PromptOptions& options);

// Throws base::Error (kUsage), naming the option.
void CheckSampling(const PromptOptions& options);
void CheckSeconds(const char* option, double value);

lm::SamplingOptions Sampling(const PromptOptions& options);

// The file of the voice prompt; empty where none is asked for. Throws base::Error (kBadInput).
std::string FindVoicePrompt(const PromptOptions& options, const hub::ModelFiles& model);

// The tokens of the text prompt, with a warning where they are more than the model was trained on.
// Throws base::Error (kBadInput) for tokens that the model does not have.
std::vector<int32_t> TextPromptTokens(const std::string& text_prompt,
                                      const text::Tokenizer& tokenizer,
                                      const std::string& tokenizer_path, const lm::LmConfig& config,
                                      const std::function<void(const std::string&)>& warn);

// As --config takes them.
void PutPromptOptions(const PromptOptions& options, nlohmann::ordered_json& json);

}  // namespace ppx::app
