// tests/support/random_lm.h: a small language model with random weights, of any configuration.
#pragma once

#include <fmt/format.h>

#include "lm/lm_model.h"
#include "support/memory_checkpoint.h"

namespace ppx::test {

inline lm::LmConfig SmallLmConfig() {
  lm::LmConfig config;
  config.dim = 16;
  config.num_heads = 2;
  config.num_layers = 2;
  config.context = 24;
  config.text_card = 20;
  config.n_q = 8;
  config.card = 12;
  config.dep_q = 8;
  config.depformer_dim = 8;
  config.depformer_dim_feedforward = 33;
  config.depformer_num_heads = 2;
  config.depformer_num_layers = 2;
  config.delays = {0, 0, 1, 1, 1, 0, 1, 1, 1};
  config.silence_tokens = {1, 2, 3, 4};
  config.sine_tokens = {5, 6, 7, 8};
  return config;
}

// Every tensor that `config` asks for, with `depth_steps` steps of the depth transformer.
inline std::map<std::string, at::Tensor> RandomLmTensors(const lm::LmConfig& config,
                                                         int depth_steps) {
  std::map<std::string, at::Tensor> tensors;
  const auto matrix = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors[name] = at::randn(shape) * 0.4;
  };
  const int64_t d = config.dim;
  const int64_t e = config.depformer_dim;
  for (int k = 0; k < config.n_q; ++k) {
    matrix(fmt::format("emb.{}.weight", k), {config.card + 1, d});
  }
  matrix("text_emb.weight", {config.text_card + 1, d});
  matrix("text_linear.weight", {config.text_card, d});
  tensors["out_norm.alpha"] = at::ones({1, 1, d});
  for (int i = 0; i < config.num_layers; ++i) {
    const std::string layer = fmt::format("transformer.layers.{}", i);
    matrix(layer + ".self_attn.in_proj_weight", {3 * d, d});
    matrix(layer + ".self_attn.out_proj.weight", {d, d});
    matrix(layer + ".gating.linear_in.weight", {2 * config.hidden(), d});
    matrix(layer + ".gating.linear_out.weight", {d, config.hidden()});
    tensors[layer + ".norm1.alpha"] = at::ones({1, 1, d});
    tensors[layer + ".norm2.alpha"] = at::ones({1, 1, d});
  }
  matrix("depformer_text_emb.weight", {config.text_card + 1, e});
  for (int i = 0; i < config.depformer_num_layers; ++i) {
    const std::string layer = fmt::format("depformer.layers.{}", i);
    matrix(layer + ".self_attn.in_proj_weight", {depth_steps * 3 * e, e});
    matrix(layer + ".self_attn.out_proj.weight", {depth_steps * e, e});
    tensors[layer + ".norm1.alpha"] = at::ones({1, 1, e});
    tensors[layer + ".norm2.alpha"] = at::ones({1, 1, e});
    for (int k = 0; k < depth_steps; ++k) {
      const std::string gating = fmt::format("{}.gating.{}", layer, k);
      matrix(gating + ".linear_in.weight", {2 * config.depformer_hidden(), e});
      matrix(gating + ".linear_out.weight", {e, config.depformer_hidden()});
    }
  }
  for (int k = 0; k < depth_steps; ++k) {
    matrix(fmt::format("depformer_in.{}.weight", k), {e, d});
    matrix(fmt::format("linears.{}.weight", k), {config.card, e});
    if (k > 0) matrix(fmt::format("depformer_emb.{}.weight", k - 1), {config.card + 1, e});
  }
  return tensors;
}

inline lm::LmModel MakeLm(const lm::LmConfig& config,
                          const std::map<std::string, at::Tensor>& tensors,
                          const lm::LmOptions& options = {},
                          const nn::WeightLoader::Options& loading = {}) {
  // Tensors point into the mapping, which therefore outlives the model.
  static std::vector<std::shared_ptr<const weights::SafetensorsFile>> files;
  files.push_back(MemoryCheckpoint(tensors));
  nn::WeightLoader loader(files.back(), loading);
  lm::LmModel model(config, loader, options);
  loader.Finish();
  return model;
}

}  // namespace ppx::test
