// lib/engine/engine.h: a model on a device, and the dialogues that run on it.
//
// A slot is one dialogue's place. Slots start and stop at any frame; each has its own prompt,
// settings and time. A frame of user audio in, a frame of agent audio and its tokens out.
// Not thread-safe: one engine, one thread.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codec/mimi.h"
#include "engine/system_prompt.h"
#include "lm/lm_model.h"
#include "nn/debug_tap.h"

namespace ppx::engine {

struct EngineOptions {
  std::string device = "cpu";  // "cpu", "cuda" or "cuda:N"
  std::string dtype{};         // "f32" or "bf16" of the language model; empty: bf16 on CUDA, on the
                               // CPU the type that the weights are stored in. The codec is float32.
  int slots = 1;
  int64_t max_steps = 0;  // the longest dialogue, prompt included, for the size of keys and values;
                          // 0: the whole context
  int context = 0;        // attention window in steps; 0: the checkpoint's
  bool cpu_offload = false;  // of the temporal layers, on CUDA
  int threads = 0;           // 0: all cores, one for a small model
};

// Paths of the files that make up a model. `config` may be empty: the released sizes.
struct EngineFiles {
  std::string config;
  std::string moshi_weight;
  std::string mimi_weight;
};

// Sizes of a model, known before its weights are loaded.
struct ModelConfig {
  lm::LmConfig lm;
  codec::MimiConfig mimi;

  // An empty path gives the released PersonaPlex sizes. `context` 0 keeps the checkpoint's.
  static ModelConfig Read(const std::string& path, int context = 0);
};

// What a dialogue starts from.
struct DialogueOptions {
  SystemPrompt prompt;
  lm::SamplingOptions sampling;
  uint64_t seed = 0;
  std::string dialogue_id;  // random numbers depend on it and on the seed
};

struct FrameInput {
  int slot = nn::kPadding;     // kPadding: a row that keeps the batch's size, see slot_state.h
  std::span<const float> pcm;  // [frame_samples]
};

struct FrameOutput {
  // Nothing in a dialogue's first steps where there was no system prompt.
  std::optional<lm::FrameTokens> tokens;  // [1 + n_q]
  std::vector<float> pcm;                 // [frame_samples], or empty
};

class Engine {
 public:
  // Throws base::Error: kBadInput for files that do not fit, kResource for the device.
  Engine(const EngineFiles& files, const ModelConfig& config, const EngineOptions& options);

  // Resets the slot and runs its system prompt. Steps taken.
  int64_t Start(int slot, const DialogueOptions& dialogue, const nn::DebugTap& tap = {});

  // One frame of every row. Rows are independent: what a slot gets does not depend on the others,
  // as long as the number of rows is the same.
  std::vector<FrameOutput> Step(std::span<const FrameInput> rows, const nn::DebugTap& tap = {});

  VoicePrompt EncodeVoiceSamples(const std::string& path, const std::vector<float>& samples) const;

  const ModelConfig& config() const { return config_; }
  const lm::LmModel& lm() const { return *lm_; }
  const codec::MimiEncoder& encoder() const { return *encoder_; }
  const codec::MimiDecoder& decoder() const { return *decoder_; }
  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }

 private:
  ModelConfig config_;
  at::Device device_;
  at::ScalarType dtype_ = at::kFloat;
  // The mapped weights, which tensors point into.
  std::shared_ptr<const weights::SafetensorsFile> lm_file_;
  std::shared_ptr<const weights::SafetensorsFile> mimi_file_;
  std::unique_ptr<codec::MimiEncoder> encoder_;
  std::unique_ptr<codec::MimiDecoder> decoder_;
  std::unique_ptr<lm::LmModel> lm_;
  std::optional<nn::SlotState> encoder_state_;
  std::optional<nn::SlotState> decoder_state_;
  std::optional<lm::LmState> lm_state_;
};

}  // namespace ppx::engine
