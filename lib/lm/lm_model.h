// lib/lm/lm_model.h: one step of the language model for a batch of slots: 17 tokens in, text and
// agent audio tokens out.
//
// `LmModel` is const after construction and may be shared; an `LmState` belongs to one thread. Each
// slot has its own time, prompt, settings and random numbers; slots join and leave at any step.
// Depth steps whose token is provided, and text logits where the text is provided, are not
// computed.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lm/depth_transformer.h"
#include "lm/lm_config.h"
#include "lm/sampler.h"
#include "lm/token_cache.h"
#include "nn/debug_tap.h"
#include "nn/slot_state.h"
#include "nn/transformer.h"
#include "nn/weight_loader.h"

namespace ppx::lm {

class GraphStep;
class StepProgram;

// How one slot's dialogue draws its tokens.
struct SlotSettings {
  SamplingOptions sampling;
  RandomStream random;
  int64_t first_step = 0;  // the step that is frame 0 of the dialogue, for `random`
};

// What a slot had seen at one moment: a system prompt that many dialogues share.
struct LmSnapshot {
  nn::SlotSnapshot temporal;
  TokenCache tokens;
};

struct LmState {
  nn::SlotState temporal;
  std::vector<TokenCache> tokens;      // one a slot
  std::vector<SlotSettings> settings;  // one a slot
  // The step of all slots recorded for a GPU (cuda/graph_step.h), made when it is first wanted.
  std::shared_ptr<GraphStep> graph{};

  void Reset(int slot);
  LmSnapshot Save(int slot) const;
  // Makes `slot` continue where the snapshot was taken; its settings stay as they are.
  void Restore(const LmSnapshot& snapshot, int slot);
};

// One row of a step.
struct StepInput {
  int slot = nn::kPadding;
  std::vector<int32_t> user{};    // [codebooks]; kZeroToken contributes nothing
  std::vector<int32_t> agent{};   // [codebooks], or empty: the model speaks
  std::optional<int32_t> text{};  // or empty: the model chooses
};

// Writes the tokens that `input` has into the slot's cache.
void ProvideTokens(const StepInput& input, TokenCache& cache);

struct LmOptions {
  bool offload = false;  // temporal layers stay in host memory and are copied in when needed
};

class LmModel {
 public:
  LmModel(const LmConfig& config, nn::WeightLoader& loader, const LmOptions& options = {});

  const LmConfig& config() const { return config_; }
  LmState NewState(int slots) const;
  // A slot for each of `steps`, the most that its dialogues have, prompts included; 0: any number.
  LmState NewState(const std::vector<int64_t>& steps) const;
  int64_t StateBytesPerSlot(int64_t steps = 0) const { return layout_.BytesPerSlot(steps); }

  // One step of each row. The tokens of each row's newest complete frame, if it has one.
  // Taps: "lm.transformer_out" [n, dim], "lm.text_logits" [n, text_card], and, for each depth step
  // that ran, "lm.audio_logits" [n, depth steps, card]. With `compute_all` text logits and depth
  // steps are computed even where their tokens are provided: for comparisons only.
  std::vector<std::optional<FrameTokens>> Step(std::span<const StepInput> rows, LmState& state,
                                               const nn::DebugTap& tap = {},
                                               bool compute_all = false) const;

  // The embedding sums of the inputs (token_cache.h, Input) of consecutive steps: [T, dim].
  at::Tensor EmbedInputs(const std::vector<FrameTokens>& inputs) const;

  // Runs the embedding sums [T, dim] of consecutive steps of one slot through the temporal
  // transformer at once, without the depth transformer. The caller moves the slot's token cache.
  // Tap: "lm.transformer_out" [T, dim], in pieces.
  void Prefill(int slot, const at::Tensor& embeddings, LmState& state,
               const nn::DebugTap& tap = {}) const;

  // Logits of all steps of dialogues of one length, every token given: column t of a row of
  // `tokens` [n, T + 1, 1 + n_q] int64 holds the streams' tokens at time t, as TokenCache::Input
  // gives them; step t is fed column t and is asked for column t + 1. Reads each weight once,
  // however many steps there are; `done`, where given, is called after each layer and each depth
  // step, whose weights are then needed no more.
  struct Logits {
    at::Tensor text;   // [n * T, text_card]
    at::Tensor audio;  // [n * T, depth steps, card]
  };
  Logits LogitsOf(const at::Tensor& tokens, const std::function<void()>& done = {}) const;

  // The model and the rings of `state` for a step recorded once (cuda/step_program.h): for as many
  // rows as it has slots. Null where the sizes, the types or offloaded layers rule it out.
  std::unique_ptr<StepProgram> MakeProgram(LmState& state) const;

 private:
  // The tokens chosen for the rows of a step [n, 1 + codebooks] int64 on the host (text alone where
  // no depth step is needed), by operations one by one.
  at::Tensor Choose(const nn::SlotIds& live, LmState& state, const nn::DebugTap& tap,
                    bool compute_all) const;
  // The same by the recorded step; undefined where that cannot be used (cuda/graph_step.cc).
  at::Tensor ChooseOnGraph(const nn::SlotIds& live, LmState& state) const;

  // [..., 1 + n_q] int64 in host memory -> [..., dim] on the device
  at::Tensor Embed(const at::Tensor& host_tokens) const;

  LmConfig config_;
  at::Device device_;
  at::ScalarType dtype_;
  nn::StateLayout layout_;
  std::vector<at::Tensor> audio_embeddings_;  // n_q of [card + 1, dim]
  at::Tensor text_embedding_;                 // [text_card + 1, dim]
  nn::Transformer transformer_;
  at::Tensor out_norm_;     // [dim] f32
  nn::Linear text_linear_;  // [text_card, dim]
  DepthTransformer depth_;
};

}  // namespace ppx::lm
