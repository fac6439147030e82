// lib/engine/system_prompt.h: what the model hears before the dialogue (PersonaPlex, arXiv
// 2602.06053, section 3): voice prompt, silence, text prompt, silence. The outputs are discarded.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/voice_prompt.h"
#include "lm/lm_model.h"

namespace ppx::engine {

struct SystemPrompt {
  VoicePrompt voice;
  std::vector<int32_t> text_tokens;  // of "<system> ... <system>"; empty: the phase is skipped
};

// Frames of silence on either side of the text prompt: half a second, rounded down.
int SilenceFrames(double frame_rate_hz);

// The steps of the voice phase; none where the voice prompt is a saved one.
std::vector<lm::StepInput> VoiceSteps(const VoicePrompt& voice, int slot,
                                      const lm::LmConfig& config);
// The steps of the phases after it.
std::vector<lm::StepInput> TextSteps(const std::vector<int32_t>& text_tokens, int slot,
                                     const lm::LmConfig& config, double frame_rate_hz);

// Moves `cache` through steps in which every token is provided, and returns what the model is to be
// fed in each. The start-up step of a dialogue feeds nothing.
std::vector<lm::FrameTokens> PromptInputs(const std::vector<lm::StepInput>& steps,
                                          lm::TokenCache& cache);

// Steps that the whole prompt takes, 0 for a model family without system prompts.
int64_t PromptStepCount(const SystemPrompt& prompt, const lm::LmConfig& config,
                        double frame_rate_hz);

// Runs the prompt on a slot that was just reset, as one parallel prefill.
void RunSystemPrompt(const SystemPrompt& prompt, int slot, double frame_rate_hz,
                     const lm::LmModel& model, lm::LmState& state, const nn::DebugTap& tap = {});

}  // namespace ppx::engine
