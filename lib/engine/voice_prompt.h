// lib/engine/voice_prompt.h: the recording, or its saved form, that tells the model how to sound.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "codec/mimi.h"
#include "codec/mimi_config.h"
#include "lm/lm_model.h"

namespace ppx::engine {

// Loudness a voice recording is brought to before it is encoded.
inline constexpr double kVoiceLoudnessLufs = -24.0;

// Samples of a voice recording, ready to be encoded: mono, the codec's rate, normalised, whole
// frames. Too short (under 0.4 s) or silent recordings have no loudness: kBadInput.
std::vector<float> ReadVoiceRecording(const std::string& path, const codec::MimiConfig& config);

// Either `codes`, from a recording, or `embeddings` and `cache`, from a saved voice prompt.
struct VoicePrompt {
  std::string path;                         // where it came from; empty: no voice prompt
  std::vector<std::vector<int32_t>> codes;  // [frames][codebooks]
  at::Tensor embeddings;                    // [frames - 1, dim], embedding sums of the inputs
  std::vector<int64_t> cache;               // [1 + n_q, max_delay + 3], column = time mod width

  bool empty() const { return codes.empty() && !embeddings.defined(); }
  bool saved() const { return embeddings.defined(); }
  // Steps of the model that it takes.
  int64_t steps() const {
    return saved() ? embeddings.size(0) + 1 : static_cast<int64_t>(codes.size());
  }
};

// True for the names of saved prompts: .pt and .safetensors.
bool IsSavedVoice(const std::string& path);

// A saved voice prompt: a torch.save archive (read without running any of it) or a safetensors file
// with the tensors "embeddings" [N, 1, 1, dim] and "cache" [1, 1 + n_q, max_delay + 3].
// Throws kBadInput where it does not fit the model.
VoicePrompt ReadSavedVoice(const std::string& path, const lm::LmConfig& config);

// Encodes samples of ReadVoiceRecording with a codec state of its own.
VoicePrompt EncodeVoice(const std::string& path, const std::vector<float>& samples,
                        const codec::MimiConfig& config, const codec::MimiEncoder& encoder,
                        at::Device device);

// Writes a voice prompt as safetensors, in the form that ReadSavedVoice takes; embeddings in the
// model's own type.
void WriteSavedVoice(const std::string& path, const VoicePrompt& voice, const lm::LmModel& model);

}  // namespace ppx::engine
