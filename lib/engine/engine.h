// lib/engine/engine.h: a model on a device, and the dialogues that run on it.
//
// A slot is one dialogue's place. Slots start and stop at any frame; each has its own prompt,
// settings and time. A frame of user audio in, a frame of agent audio and its tokens out.
// Not thread-safe: one engine, one thread.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codec/cuda/graph_codec.h"
#include "codec/mimi.h"
#include "engine/quantisation.h"
#include "engine/system_prompt.h"
#include "lm/lm_model.h"
#include "nn/debug_tap.h"

namespace ppx::engine {

struct EngineOptions {
  std::string device = "cpu";  // "cpu", "cuda" or "cuda:N"
  std::string dtype{};         // "f32" or "bf16" of the language model; empty: bf16 on CUDA, on the
                               // CPU the type that the weights are stored in. The codec is float32.
  // "int8" or, on the CPU alone, "int4": the language model's matrices in fewer bits; its
  // activations, keys and values are `dtype`, bf16 where that is empty.
  std::string quantize{};
  // Where quantised matrices, and what they cost in accuracy, are kept from one run to the next (of
  // a GPU the latter, in a file beside); its name must tell the weights and the form apart from
  // others. Empty: they are made on every run.
  std::string quantised_file{};
  int slots = 1;
  int64_t max_steps = 0;     // of a dialogue in any of them, prompt included; see Resize
  int context = 0;           // attention window in steps; 0: the checkpoint's
  bool cpu_offload = false;  // of the temporal layers, on CUDA
  int threads = 0;           // 0: all cores, one for a small model
  // How many system prompts' states are kept for dialogues that start from them again.
  int prompts_kept = 0;
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
  // Dialogues that share the object share its computed state, where the engine keeps any.
  std::shared_ptr<const SystemPrompt> prompt = std::make_shared<const SystemPrompt>();
  lm::SamplingOptions sampling{};
  uint64_t seed = 0;
  std::string dialogue_id{};  // random numbers depend on it and on the seed
};

struct FrameInput {
  int slot = nn::kPadding;     // kPadding: a row that keeps the batch's size, see slot_state.h
  std::span<const float> pcm;  // [frame_samples]
};

// A frame of the user as the codec's codes.
struct CodesInput {
  int slot = nn::kPadding;
  std::span<const int32_t> codes;  // [codebooks]
};

// A frame of the agent as the model's tokens.
struct TokensInput {
  int slot = nn::kPadding;
  std::span<const int32_t> tokens;  // [1 + n_q]
};

struct FrameOutput {
  // Nothing in a dialogue's first steps where there was no system prompt.
  std::optional<lm::FrameTokens> tokens;  // [1 + n_q]
  std::vector<float> pcm;                 // [frame_samples], or empty
};

class Engine {
 public:
  // Throws base::Error: kBadInput for files that do not fit, kResource for the device,
  // kOutOfMemory (here and in all that computes) where its memory, or the host's, is too small.
  Engine(const EngineFiles& files, const ModelConfig& config, const EngineOptions& options);

  // Resets the slot and runs its system prompt. Steps taken.
  int64_t Start(int slot, const DialogueOptions& dialogue, const nn::DebugTap& tap = {});

  // Other slots, one for each of `steps`, all of them fresh: the most steps that a dialogue there
  // has, prompt included, for the size of its keys and values; 0: any number. Weights and kept
  // prompts stay.
  void Resize(const std::vector<int64_t>& steps);
  int slots() const { return slots_; }
  // What a slot of such dialogues takes of the device's memory.
  int64_t BytesPerSlot(int64_t steps) const;
  // One frame of every row. What a slot gets depends on no other row; on a GPU, where LibTorch
  // chooses kernels by the number of rows, as long as that number is the same.
  std::vector<FrameOutput> Step(std::span<const FrameInput> rows, const nn::DebugTap& tap = {});

  // The parts of Step, for those who have many frames of one side at hand, or need none of one.
  //
  // Any number of whole frames of the user: codes, [frames][codebooks]. What a slot gets depends on
  // its own frames alone; on a GPU also on how they are cut into calls, in the last bits of sums.
  std::vector<std::vector<int32_t>> Encode(int slot, std::span<const float> pcm);
  // One frame of every row at once: codes [codebooks], samples [frame_samples]; empty for padding.
  std::vector<std::vector<int32_t>> EncodeFrames(std::span<const FrameInput> rows,
                                                 const nn::DebugTap& tap = {});
  std::vector<std::vector<float>> DecodeFrames(std::span<const TokensInput> rows);
  // One frame of every row; as Step, between the codecs.
  std::vector<std::optional<lm::FrameTokens>> StepCodes(std::span<const CodesInput> rows,
                                                        const nn::DebugTap& tap = {});
  // The agent's audio of consecutive frames of tokens, as StepCodes gave them; as Encode.
  std::vector<float> Decode(int slot, std::span<const lm::FrameTokens> frames);

  VoicePrompt EncodeVoiceSamples(const std::string& path, const std::vector<float>& samples) const;

  const ModelConfig& config() const { return config_; }
  const lm::LmModel& lm() const { return *lm_; }
  const codec::MimiEncoder& encoder() const { return *encoder_; }
  const codec::MimiDecoder& decoder() const { return *decoder_; }
  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return dtype_; }
  // What the language model's matrices are kept in, packed on the CPU; nothing: they are tensors of
  // `dtype`.
  std::optional<kernels::WeightForm> form() const { return form_; }
  // Nothing where the weights are not quantised.
  const std::optional<QuantisationDamage>& damage() const { return damage_; }
  // What ConfigureArithmetic is to be given on a thread that will use the engine.
  int threads() const { return threads_; }

 private:
  void LoadLm(const EngineOptions& options);
  void StartFromPrompt(int slot, const std::shared_ptr<const SystemPrompt>& prompt,
                       const nn::DebugTap& tap);

  ModelConfig config_;
  at::Device device_;
  at::ScalarType dtype_ = at::kFloat;
  std::optional<kernels::WeightForm> form_;
  std::optional<QuantisationDamage> damage_;
  // The mapped weights, which tensors point into.
  std::shared_ptr<const weights::SafetensorsFile> lm_file_;
  std::shared_ptr<const weights::SafetensorsFile> mimi_file_;
  std::unique_ptr<codec::MimiEncoder> encoder_;
  std::unique_ptr<codec::MimiDecoder> decoder_;
  std::unique_ptr<lm::LmModel> lm_;
  std::optional<nn::SlotState> encoder_state_;
  std::optional<nn::SlotState> decoder_state_;
  std::optional<lm::LmState> lm_state_;
  // Of the states above, whose addresses they hold.
  std::unique_ptr<codec::GraphEncoder> frame_encoder_;
  std::unique_ptr<codec::GraphDecoder> frame_decoder_;
  int slots_ = 0;
  int threads_ = 0;

  struct KeptPrompt {
    std::shared_ptr<const SystemPrompt> prompt;
    lm::LmSnapshot state;
  };
  size_t prompts_kept_;
  std::list<KeptPrompt> kept_;  // the one used last first
};

}  // namespace ppx::engine
