#include "nn/transformer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace ppx::nn {

Transformer::Transformer(const TransformerSpec& spec, const std::string& prefix,
                         WeightLoader& loader, StateLayout& layout, bool offload)
    : spec_(spec), offload_(offload) {
  const int64_t dim = spec.dim;
  const int64_t gate = spec.mlp == MlpKind::kSiluGate ? 2 : 1;
  const at::ScalarType type = loader.options().dtype;
  attention_ = {.num_heads = spec.num_heads,
                .head_dim = spec.dim / spec.num_heads,
                .context = spec.context,
                // A full ring must not lose, within a block, what its first query still sees.
                .capacity = spec.context + (spec.rule == RingRule::kFull ? spec.block - 1 : 0),
                .block = spec.block,
                .rule = spec.rule,
                .rope_max_period = spec.rope_max_period};
  if (spec.rope_max_period > 0) {
    inverse_frequencies_ = RopeInverseFrequencies(attention_.head_dim, spec.rope_max_period)
                               .to(loader.options().device);
  }
  offset_id_ = layout.AddCounter();
  const auto matrix = [&](const std::string& name, const std::vector<int64_t>& shape) {
    return offload ? loader.TakeLinearOnHost(name, shape) : loader.TakeLinear(name, shape);
  };
  for (int i = 0; i < spec.num_layers; ++i) {
    const std::string name = fmt::format("{}.layers.{}", prefix, i);
    Layer layer;
    layer.matrices.in_proj = matrix(name + ".self_attn.in_proj_weight", {3 * dim, dim});
    layer.matrices.out_proj = matrix(name + ".self_attn.out_proj.weight", {dim, dim});
    const bool gated = spec.mlp == MlpKind::kSiluGate;
    layer.matrices.mlp_in = matrix(name + (gated ? ".gating.linear_in.weight" : ".linear1.weight"),
                                   {gate * spec.hidden, dim});
    layer.matrices.mlp_out = matrix(
        name + (gated ? ".gating.linear_out.weight" : ".linear2.weight"), {dim, spec.hidden});
    if (spec.norm == NormKind::kRmsNorm) {
      layer.norm1_weight = loader.TakeFloat(name + ".norm1.alpha", {1, 1, dim}).view({dim});
      layer.norm2_weight = loader.TakeFloat(name + ".norm2.alpha", {1, 1, dim}).view({dim});
    } else {
      layer.norm1_weight = loader.TakeFloat(name + ".norm1.weight", {dim});
      layer.norm1_bias = loader.TakeFloat(name + ".norm1.bias", {dim});
      layer.norm2_weight = loader.TakeFloat(name + ".norm2.weight", {dim});
      layer.norm2_bias = loader.TakeFloat(name + ".norm2.bias", {dim});
    }
    if (spec.layer_scale) {
      layer.scale1 = loader.Take(name + ".layer_scale_1.scale", {dim});
      layer.scale2 = loader.Take(name + ".layer_scale_2.scale", {dim});
    }
    const auto ring = [&] {
      return layout.AddRing(spec.num_heads, attention_.capacity, attention_.head_dim, type,
                            offset_id_);
    };
    layer.keys = ring();
    layer.values = ring();
    layers_.push_back(std::move(layer));
  }
}

at::Tensor Transformer::Norm(const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& bias) const {
  if (spec_.norm == NormKind::kRmsNorm) return RmsNorm(x, weight);
  return at::layer_norm(x, {spec_.dim}, weight, bias, kLayerNormEps);
}

at::Tensor Transformer::LayerForward(const Layer& layer, at::Tensor x, SlotState& state,
                                     const SlotIds& slots,
                                     const std::vector<int64_t>& offsets) const {
  const at::Tensor attended = ProjectAndAttend(attention_, layer.matrices.in_proj,
                                               Norm(x, layer.norm1_weight, layer.norm1_bias),
                                               {.keys = state.tensor(layer.keys),
                                                .values = state.tensor(layer.values),
                                                .places = state.places(layer.keys)},
                                               slots, offsets, inverse_frequencies_);
  at::Tensor branch = layer.matrices.out_proj(attended);
  if (layer.scale1.defined()) branch.mul_(layer.scale1);
  x = x + branch;
  at::Tensor hidden = layer.matrices.mlp_in(Norm(x, layer.norm2_weight, layer.norm2_bias));
  hidden = spec_.mlp == MlpKind::kSiluGate ? SiluGate(hidden) : Gelu(hidden);
  branch = layer.matrices.mlp_out(hidden);
  if (layer.scale2.defined()) branch.mul_(layer.scale2);
  return x + branch;
}

at::Tensor Transformer::Forward(const at::Tensor& x, SlotState& state, const SlotIds& slots,
                                const std::function<void()>& layer_done) const {
  std::vector<int64_t> offsets;
  for (const int slot : slots) {
    offsets.push_back(slot == kPadding ? 0 : state.counter(offset_id_, slot));
  }
  at::Tensor hidden = x;
  for (const Layer& layer : layers_) {
    hidden = LayerForward(layer, hidden, state, slots, offsets);
    if (layer_done) layer_done();
  }
  Advance(state, slots, x.size(1));
  return hidden;
}

void Transformer::Advance(SlotState& state, const SlotIds& slots, int64_t steps) const {
  for (const int slot : slots) {
    if (slot != kPadding) state.counter(offset_id_, slot) += steps;
  }
}

}  // namespace ppx::nn
