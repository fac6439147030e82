#include "engine/system_prompt.h"

#include <cmath>

namespace ppx::engine {
namespace {

// A step in which the user's streams carry the tone that marks the system prompt.
lm::StepInput PromptStep(int slot, const lm::LmConfig& config, std::vector<int32_t> agent,
                         int32_t text) {
  const auto codebooks = static_cast<size_t>(config.codebooks());
  agent.resize(codebooks);
  return {.slot = slot,
          .user = {config.sine_tokens.begin(),
                   config.sine_tokens.begin() + static_cast<std::ptrdiff_t>(codebooks)},
          .agent = std::move(agent),
          .text = text};
}

}  // namespace

int SilenceFrames(double frame_rate_hz) {
  return static_cast<int>(std::floor(0.5 * frame_rate_hz));
}

std::vector<lm::StepInput> VoiceSteps(const VoicePrompt& voice, int slot,
                                      const lm::LmConfig& config) {
  std::vector<lm::StepInput> steps;
  for (const auto& codes : voice.codes) {
    steps.push_back(PromptStep(slot, config, codes, config.text_padding_id));
  }
  return steps;
}

std::vector<lm::StepInput> TextSteps(const std::vector<int32_t>& text_tokens, int slot,
                                     const lm::LmConfig& config, double frame_rate_hz) {
  std::vector<int32_t> text(static_cast<size_t>(SilenceFrames(frame_rate_hz)),
                            config.text_padding_id);
  const std::vector<int32_t> pause = text;
  text.insert(text.end(), text_tokens.begin(), text_tokens.end());
  text.insert(text.end(), pause.begin(), pause.end());
  std::vector<lm::StepInput> steps;
  for (const int32_t token : text) {
    steps.push_back(PromptStep(
        slot, config, {config.silence_tokens.begin(), config.silence_tokens.end()}, token));
  }
  return steps;
}

std::vector<lm::FrameTokens> PromptInputs(const std::vector<lm::StepInput>& steps,
                                          lm::TokenCache& cache) {
  std::vector<lm::FrameTokens> inputs;
  for (const lm::StepInput& step : steps) {
    lm::ProvideTokens(step, cache);
    if (!cache.Begin()) continue;
    inputs.push_back(cache.Input());
    cache.Finish();
  }
  return inputs;
}

int64_t PromptStepCount(const SystemPrompt& prompt, const lm::LmConfig& config,
                        double frame_rate_hz) {
  if (!config.system_prompts) return 0;
  return prompt.voice.steps() + int64_t{2} * SilenceFrames(frame_rate_hz) +
         static_cast<int64_t>(prompt.text_tokens.size());
}

void RunSystemPrompt(const SystemPrompt& prompt, int slot, double frame_rate_hz,
                     const lm::LmModel& model, lm::LmState& state, const nn::DebugTap& tap) {
  const lm::LmConfig& config = model.config();
  if (!config.system_prompts) return;
  lm::TokenCache& cache = state.tokens[static_cast<size_t>(slot)];
  std::vector<lm::FrameTokens> inputs;
  at::Tensor embeddings;
  if (prompt.voice.saved()) {
    embeddings = prompt.voice.embeddings;
    cache.Restore(prompt.voice.steps(), prompt.voice.cache);
  } else {
    inputs = PromptInputs(VoiceSteps(prompt.voice, slot, config), cache);
  }
  for (auto& input :
       PromptInputs(TextSteps(prompt.text_tokens, slot, config, frame_rate_hz), cache)) {
    inputs.push_back(std::move(input));
  }
  const at::Tensor embedded = model.EmbedInputs(inputs);
  model.Prefill(slot,
                embeddings.defined()
                    ? at::cat({embeddings.to(embedded.device(), embedded.scalar_type()), embedded})
                    : embedded,
                state, tap);
}

}  // namespace ppx::engine
