#include "lm/depth_transformer.h"

#include <fmt/format.h>

#include "base/error.h"

namespace ppx::lm {

DepthTransformer::DepthTransformer(const LmConfig& config, int steps, nn::WeightLoader& loader)
    : dim_(config.depformer_dim), dtype_(loader.options().dtype) {
  const int64_t dim = config.depformer_dim;
  const int64_t hidden = config.depformer_hidden();
  attention_ = {.num_heads = config.depformer_num_heads,
                .head_dim = config.depformer_dim / config.depformer_num_heads,
                .context = config.dep_q,
                .capacity = config.dep_q,
                .rule = config.ring_rule};

  // How many steps the file holds: the configured number, or half of it.
  int stored = config.dep_q;
  if (config.dep_q % 2 == 0 && !loader.Has(fmt::format("linears.{}.weight", config.dep_q - 1)) &&
      loader.Has(fmt::format("linears.{}.weight", config.dep_q / 2 - 1))) {
    stored = config.dep_q / 2;
  }
  for (int i = 0; i < config.depformer_num_layers; ++i) {
    const std::string name = fmt::format("depformer.layers.{}", i);
    norm1_.push_back(loader.TakeFloat(name + ".norm1.alpha", {1, 1, dim}).view({dim}));
    norm2_.push_back(loader.TakeFloat(name + ".norm2.alpha", {1, 1, dim}).view({dim}));
  }
  for (int k = 0; k < steps; ++k) {
    if (k >= stored) {
      steps_.push_back(steps_[static_cast<size_t>(k - stored)]);
      if (k == stored) steps_.back().embedding = at::zeros_like(steps_.back().embedding);
      continue;
    }
    Step step;
    step.input = loader.TakeLinear(fmt::format("depformer_in.{}.weight", k), {dim, config.dim});
    step.output = loader.TakeLinear(fmt::format("linears.{}.weight", k), {config.card, dim});
    step.embedding =
        k == 0 ? loader.Take("depformer_text_emb.weight", {config.text_card + 1, dim})
               : loader.Take(fmt::format("depformer_emb.{}.weight", k - 1), {config.card + 1, dim});
    for (int i = 0; i < config.depformer_num_layers; ++i) {
      const std::string name = fmt::format("depformer.layers.{}", i);
      const std::string gating = fmt::format("{}.gating.{}", name, k);
      // One tensor a layer holds the rows of all steps, one after another.
      step.layers.push_back(
          {.in_proj = loader.TakeLinearRows(name + ".self_attn.in_proj_weight",
                                            {int64_t{stored} * 3 * dim, dim}, int64_t{k} * 3 * dim,
                                            3 * dim),
           .out_proj = loader.TakeLinearRows(name + ".self_attn.out_proj.weight",
                                             {stored * dim, dim}, k * dim, dim),
           .mlp_in = loader.TakeLinear(gating + ".linear_in.weight", {2 * hidden, dim}),
           .mlp_out = loader.TakeLinear(gating + ".linear_out.weight", {dim, hidden})});
    }
    steps_.push_back(std::move(step));
  }
}

void DepthTransformer::Run(const at::Tensor& temporal, const at::Tensor& text,
                           const Choose& choose) const {
  const int64_t rows = temporal.size(0);
  nn::SlotIds slots;
  for (int row = 0; row < static_cast<int>(rows); ++row) slots.push_back(row);

  nn::RingAttentionSpec attention = attention_;
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  const std::vector<nn::RingPlace> places = nn::EqualPlaces(rows, attention.capacity);
  const std::vector<int64_t> ring{rows, attention.num_heads, attention.capacity,
                                  attention.head_dim};
  for (size_t i = 0; i < norm1_.size(); ++i) {
    keys.push_back(at::zeros(ring, temporal.options()));
    values.push_back(at::zeros(ring, temporal.options()));
  }
  at::Tensor token = text;
  for (size_t k = 0; k < steps_.size(); ++k) {
    const Step& step = steps_[k];
    const std::vector<int64_t> offsets(static_cast<size_t>(rows), static_cast<int64_t>(k));
    // A token of -1 adds nothing.
    const at::Tensor previous = at::embedding(step.embedding, token.clamp_min(0))
                                    .masked_fill_(token.lt(0).unsqueeze(-1), 0);
    at::Tensor x = step.input(temporal) + previous;  // [n, depformer_dim]
    for (size_t i = 0; i < step.layers.size(); ++i) {
      const nn::LayerMatrices& layer = step.layers[i];
      const at::Tensor attended =
          nn::ProjectAndAttend(attention, layer.in_proj, nn::RmsNorm(x, norm1_[i]).unsqueeze(1),
                               {keys[i], values[i], places}, slots, offsets, {})
              .squeeze(1);
      x = x + layer.out_proj(attended);
      x = x + layer.mlp_out(nn::SiluGate(layer.mlp_in(nn::RmsNorm(x, norm2_[i]))));
    }
    token = choose(static_cast<int>(k), step.output(x));
  }
}

}  // namespace ppx::lm
