// lib/nn/transformer.h: the streaming transformer that the codec (twice) and the temporal part of
// the language model are made of; its layers also serve the depth transformer. Pre-norm, causal.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "nn/linear.h"
#include "nn/pointwise.h"
#include "nn/ring_attention.h"
#include "nn/slot_state.h"
#include "nn/weight_loader.h"

namespace ppx::nn {

enum class NormKind { kLayerNorm, kRmsNorm };
enum class MlpKind { kGelu, kSiluGate };

inline constexpr double kLayerNormEps = 1e-5;

struct TransformerSpec {
  int dim = 0;
  int num_heads = 1;
  int num_layers = 0;
  int hidden = 0;   // width of the MLP; of one half of its input with a gate
  int context = 0;  // steps a query can look back over, itself included (see RingRule)
  int block = 1;
  RingRule rule = RingRule::kMaskNextSlot;
  double rope_max_period = 10000;
  NormKind norm = NormKind::kLayerNorm;
  MlpKind mlp = MlpKind::kGelu;
  bool layer_scale = false;
};

// The larger weights of a layer, as they lie in memory during the step.
struct LayerMatrices {
  Linear in_proj;   // [3 * dim, dim]: q, k, v
  Linear out_proj;  // [dim, dim]
  Linear mlp_in;    // [hidden, dim], with a gate [2 * hidden, dim]
  Linear mlp_out;   // [dim, hidden]
};

class Transformer {
 public:
  // Tensors are named `prefix`.layers.N.*. With `offload`, matrices stay in host memory (pinned
  // where the device is a GPU) and are copied to the device one at a time (linear.h).
  Transformer(const TransformerSpec& spec, const std::string& prefix, WeightLoader& loader,
              StateLayout& layout, bool offload = false);

  // x: [n, T, dim], T a multiple of spec.block -> [n, T, dim]. Advances every slot by T steps.
  // `layer_done`, where given, is called after each layer.
  at::Tensor Forward(const at::Tensor& x, SlotState& state, const SlotIds& slots,
                     const std::function<void()>& layer_done = {}) const;

  // Steps that `slot` has seen.
  int64_t Offset(const SlotState& state, int slot) const { return state.counter(offset_id_, slot); }

  const TransformerSpec& spec() const { return spec_; }

  // What another implementation of Forward needs (lm/cuda, codec/cuda).
  struct Layer {
    LayerMatrices matrices;
    at::Tensor norm1_weight, norm1_bias;  // [dim] f32; no bias with RMSNorm
    at::Tensor norm2_weight, norm2_bias;
    at::Tensor scale1, scale2;  // [dim]; undefined without LayerScale
    StateLayout::TensorId keys = 0;
    StateLayout::TensorId values = 0;
  };
  const std::vector<Layer>& layers() const { return layers_; }
  const RingAttentionSpec& attention() const { return attention_; }
  const at::Tensor& inverse_frequencies() const { return inverse_frequencies_; }
  bool offload() const { return offload_; }
  void Advance(SlotState& state, const SlotIds& slots, int64_t steps) const;

 private:
  at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) const;
  at::Tensor LayerForward(const Layer& layer, at::Tensor x, SlotState& state, const SlotIds& slots,
                          const std::vector<int64_t>& offsets) const;

  TransformerSpec spec_;
  RingAttentionSpec attention_;
  bool offload_;
  at::Tensor inverse_frequencies_;
  std::vector<Layer> layers_;
  StateLayout::CounterId offset_id_;
};

}  // namespace ppx::nn
