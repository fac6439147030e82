// lib/lm/depth_transformer.h: the depth transformer (Moshi's "depformer", arXiv 2410.00037, section
// 3.4.2): for one frame, one audio token after another, each from its own weights.
//
// Its keys and values live for one frame only, so it has no state between calls. It has no
// positional embedding and no final norm.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "lm/lm_config.h"
#include "nn/ring_attention.h"
#include "nn/transformer.h"
#include "nn/weight_loader.h"

namespace ppx::lm {

class DepthTransformer {
 public:
  // Reads the first `steps` steps. A checkpoint with half as many steps as configured is completed:
  // steps 0..h-1 serve as h..2h-1 too, with a zero embedding where step h-1 would be looked up.
  DepthTransformer(const LmConfig& config, int steps, nn::WeightLoader& loader);

  // Chooses the token of step k for every row, given its logits [n, card]; returns [n] int64 on the
  // device: what is fed on to step k + 1.
  using Choose = std::function<at::Tensor(int step, const at::Tensor& logits)>;

  // temporal: [n, dim], the temporal transformer's output; text: [n] int64, the frame's text token.
  // Runs steps 0 .. steps-1.
  void Run(const at::Tensor& temporal, const at::Tensor& text, const Choose& choose) const;

  int steps() const { return static_cast<int>(steps_.size()); }

  // What another implementation of Run needs (lm/cuda).
  struct Step {
    nn::Linear input;      // [depformer_dim, dim]
    at::Tensor embedding;  // [card + 1, depformer_dim] of the token before; of text for step 0
    nn::Linear output;     // [card, depformer_dim]
    std::vector<nn::LayerMatrices> layers;
  };
  const std::vector<Step>& step_weights() const { return steps_; }
  const std::vector<at::Tensor>& norm1() const { return norm1_; }
  const std::vector<at::Tensor>& norm2() const { return norm2_; }
  const nn::RingAttentionSpec& attention() const { return attention_; }

 private:
  nn::RingAttentionSpec attention_;
  int64_t dim_;
  at::ScalarType dtype_;
  std::vector<Step> steps_;
  std::vector<at::Tensor> norm1_;  // [depformer_dim] f32, one a layer, shared by the steps
  std::vector<at::Tensor> norm2_;
};

}  // namespace ppx::lm
