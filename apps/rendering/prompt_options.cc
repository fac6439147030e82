#include "rendering/prompt_options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <filesystem>

#include "base/error.h"
#include "common/toolkit_files.h"
#include "text/text_prompt.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

}  // namespace

void AddPromptOptions(CLI::App& app, PromptOptions& options) {
  const char* prompt = "Prompt";
  app.add_option("--persona", options.persona,
                 "YAML with role, voice and sampling: a path or a name in prompts/")
      ->group(prompt);
  app.add_option("--text-prompt", options.text_prompt, "The role; <system> tags are added")
      ->group(prompt);
  app.add_option("--voice-prompt", options.voice_prompt,
                 "WAV, or saved voice (.pt, .safetensors): a path or a name in the voice folders")
      ->group(prompt);
  app.add_option("--voice-prompt-dir", options.voice_prompt_dir,
                 "Folder of voices, looked into first")
      ->group(prompt);

  const char* sampling = "Sampling";
  app.add_option("--seed", options.seed, "Seed; negative: a new one, recorded")->group(sampling);
  app.add_flag("--greedy", options.greedy, "Take the likeliest token everywhere")->group(sampling);
  app.add_option("--temp-audio", options.temp_audio, "Temperature of audio tokens")
      ->group(sampling);
  app.add_option("--temp-text", options.temp_text, "Temperature of text tokens")->group(sampling);
  app.add_option("--topk-audio", options.topk_audio, "Audio tokens kept; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->group(sampling);
  app.add_option("--topk-text", options.topk_text, "Text tokens kept; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->group(sampling);
}

text::Persona FindPersona(const std::string& name) {
  fs::path path = name;
  if (!fs::exists(path)) {
    const fs::path folder = fs::path(DataFolder()) / "prompts";
    path = folder / (name + ".yaml");
    if (!fs::exists(path)) {
      base::ThrowBadInput(
          fmt::format("--persona {}: neither a file nor one of {}", name, folder.string()));
    }
  }
  text::Persona persona = text::LoadPersona(path.string());
  const fs::path beside = path.parent_path() / persona.voice;
  if (!persona.voice.empty() && fs::is_regular_file(beside)) persona.voice = beside.string();
  return persona;
}

void ApplyPersona(const text::Persona& persona, const std::function<bool(const char*)>& given,
                  PromptOptions& options) {
  if (!given("--text-prompt")) options.text_prompt = persona.text_prompt;
  if (!given("--voice-prompt") && !persona.voice.empty()) options.voice_prompt = persona.voice;
  const auto take = [&](const char* option, const auto& value, auto& target) {
    if (value && !given(option)) target = *value;
  };
  take("--temp-audio", persona.temp_audio, options.temp_audio);
  take("--temp-text", persona.temp_text, options.temp_text);
  take("--topk-audio", persona.topk_audio, options.topk_audio);
  take("--topk-text", persona.topk_text, options.topk_text);
  take("--greedy", persona.greedy, options.greedy);
}

void CheckSampling(const PromptOptions& options) {
  const auto temperature = [](const char* name, double value) {
    if (!(value >= 0 && value <= 100)) {
      base::ThrowUsage(fmt::format("{} {}: expected 0 (greedy) to 100", name, value));
    }
  };
  temperature("--temp-audio", options.temp_audio);
  temperature("--temp-text", options.temp_text);
}

void CheckSeconds(const char* option, double value) {
  if (!(value >= 0 && value <= 3600)) {
    base::ThrowUsage(fmt::format("{} {}: expected 0 to 3600 seconds", option, value));
  }
}

lm::SamplingOptions Sampling(const PromptOptions& options) {
  return {.greedy = options.greedy,
          .temp_text = options.temp_text,
          .temp_audio = options.temp_audio,
          .topk_text = options.topk_text,
          .topk_audio = options.topk_audio};
}

std::string FindVoicePrompt(const PromptOptions& options, const hub::ModelFiles& model) {
  if (options.voice_prompt.empty()) return "";
  std::vector<std::string> folders;
  if (!options.voice_prompt_dir.empty()) folders.push_back(options.voice_prompt_dir);
  if (!model.voices_dir.empty()) folders.push_back(model.voices_dir);
  folders.push_back((fs::path(DataFolder()) / "voices").string());
  return hub::FindVoice(options.voice_prompt, folders);
}

std::vector<int32_t> TextPromptTokens(const std::string& text_prompt,
                                      const text::Tokenizer& tokenizer,
                                      const std::string& tokenizer_path, const lm::LmConfig& config,
                                      const std::function<void(const std::string&)>& warn) {
  std::vector<int32_t> tokens = text::EncodeTextPrompt(tokenizer, text_prompt);
  if (static_cast<int>(tokens.size()) > text::kTrainedTextPromptTokens) {
    warn(fmt::format("the text prompt has {} tokens, the model was trained on at most about {}",
                     tokens.size(), text::kTrainedTextPromptTokens));
  }
  for (const int32_t token : tokens) {
    if (token >= config.text_card) {
      base::ThrowBadInput(fmt::format(
          "{}: has pieces that the model has no embedding for ({} and more); is it this model's?",
          tokenizer_path, config.text_card));
    }
  }
  return tokens;
}

void PutPromptOptions(const PromptOptions& options, nlohmann::ordered_json& json) {
  if (!options.text_prompt.empty()) json["text-prompt"] = options.text_prompt;
  if (!options.voice_prompt.empty()) json["voice-prompt"] = options.voice_prompt;
  json["seed"] = options.seed;
  json["greedy"] = options.greedy;
  json["temp-audio"] = options.temp_audio;
  json["temp-text"] = options.temp_text;
  json["topk-audio"] = options.topk_audio;
  json["topk-text"] = options.topk_text;
}

}  // namespace ppx::app
