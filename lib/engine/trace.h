// lib/engine/trace.h: what a run computed on the way, as a safetensors file.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "lm/token_cache.h"
#include "nn/debug_tap.h"

namespace ppx::engine {

// Values that --trace can add, named PHASE.NAME in the file, PHASE being prompt or dialogue:
// lm.transformer_out, lm.text_logits, lm.audio_logits, mimi.encoder_out,
// mimi.encoder_transformer_out, mimi.latent.
const std::vector<std::string>& TraceNames();

// Collects values, one row a step, in float32.
class TraceRecorder {
 public:
  // Throws base::Error (kUsage) for a name that is not one of TraceNames().
  explicit TraceRecorder(const std::vector<std::string>& names);

  nn::DebugTap Tap(const std::string& phase);

  // What a tap brought, [steps, ...]; PHASE.NAME as above.
  at::Tensor Values(const std::string& name) const;

  // Writes `tokens` int32 [frames, 1 + n_q], `pcm` float32 [samples] and what the taps brought,
  // [steps, ...].
  void Write(const std::string& path, const std::vector<lm::FrameTokens>& tokens,
             std::span<const float> pcm) const;

 private:
  std::set<std::string> names_;
  std::map<std::string, std::vector<at::Tensor>> rows_;
};

}  // namespace ppx::engine
