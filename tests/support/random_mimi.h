// tests/support/random_mimi.h: a small Mimi with random weights, of any configuration.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "codec/mimi_config.h"

namespace ppx::test {

// Every tensor that `config` asks for, scaled so that signals keep their size. They are stored in a
// type that loading converts, so that they get aligned memory of their own instead of a place in
// the mapped file.
inline std::map<std::string, at::Tensor> RandomMimiTensors(const codec::MimiConfig& config) {
  std::map<std::string, at::Tensor> tensors;
  const auto random = [&](const std::string& name, const std::vector<int64_t>& shape,
                          int64_t inputs) {
    tensors[name] = (at::randn(shape) / std::sqrt(static_cast<double>(inputs))).to(at::kDouble);
  };
  const codec::SeanetConfig& s = config.seanet;
  const auto conv = [&](const std::string& name, int64_t out, int64_t in, int64_t kernel) {
    random(name + ".weight", {out, in, kernel}, in * kernel);
    random(name + ".bias", {out}, 10);
  };
  const auto block = [&](const std::string& name, int64_t channels) {
    conv(name + ".block.1.conv.conv", channels / s.compress, channels, s.residual_kernel_size);
    conv(name + ".block.3.conv.conv", channels, channels / s.compress, 1);
  };

  int index = 0;
  int64_t channels = s.n_filters;
  const auto encoder = [&] { return fmt::format("encoder.model.{}", index++); };
  conv(encoder() + ".conv.conv", channels, s.channels, s.kernel_size);
  for (auto ratio = s.ratios.rbegin(); ratio != s.ratios.rend(); ++ratio) {
    for (int j = 0; j < s.n_residual_layers; ++j) block(encoder(), channels);
    ++index;
    conv(encoder() + ".conv.conv", 2 * channels, channels, int64_t{2} * *ratio);
    channels *= 2;
  }
  ++index;
  conv(encoder() + ".conv.conv", s.dimension, channels, s.last_kernel_size);

  index = 0;
  const auto decoder = [&] { return fmt::format("decoder.model.{}", index++); };
  conv(decoder() + ".conv.conv", channels, s.dimension, s.kernel_size);
  for (const int ratio : s.ratios) {
    ++index;
    const std::string up = decoder() + ".convtr.convtr";
    random(up + ".weight", {channels, channels / 2, 2 * ratio}, 2 * channels);
    random(up + ".bias", {channels / 2}, 10);
    channels /= 2;
    for (int j = 0; j < s.n_residual_layers; ++j) block(decoder(), channels);
  }
  ++index;
  conv(decoder() + ".conv.conv", s.channels, channels, s.last_kernel_size);

  if (const int64_t stride = config.steps_per_frame(); stride > 1) {
    random("downsample.conv.conv.conv.weight", {s.dimension, s.dimension, 2 * stride},
           2 * stride * s.dimension);
    random("upsample.convtr.convtr.convtr.weight", {s.dimension, 1, 2 * stride}, 2);
  }
  const codec::CodecTransformerConfig& t = config.transformer;
  const int64_t d = t.d_model;
  for (const char* side : {"encoder", "decoder"}) {
    for (int i = 0; i < t.num_layers; ++i) {
      const std::string layer = fmt::format("{}_transformer.transformer.layers.{}", side, i);
      random(layer + ".self_attn.in_proj_weight", {3 * d, d}, d);
      random(layer + ".self_attn.out_proj.weight", {d, d}, d);
      random(layer + ".linear1.weight", {t.dim_feedforward, d}, d);
      random(layer + ".linear2.weight", {d, t.dim_feedforward}, t.dim_feedforward);
      for (const char* name : {"1", "2"}) {
        random(fmt::format("{}.norm{}.weight", layer, name), {d}, 1);
        random(fmt::format("{}.norm{}.bias", layer, name), {d}, 4);
        if (t.layer_scale) random(fmt::format("{}.layer_scale_{}.scale", layer, name), {d}, 4);
      }
    }
  }
  const codec::QuantizerConfig& q = config.quantizer;
  for (const auto& [part, levels] :
       {std::pair{"quantizer.rvq_first", 1}, std::pair{"quantizer.rvq_rest", q.n_q - 1}}) {
    const std::string name = part;
    random(name + ".input_proj.weight", {q.dimension, s.dimension, 1}, s.dimension);
    random(name + ".output_proj.weight", {s.dimension, q.dimension, 1}, q.dimension);
    for (int level = 0; level < levels; ++level) {
      const std::string codebook = fmt::format("{}.vq.layers.{}._codebook", name, level);
      random(codebook + ".embedding_sum", {q.bins, q.dimension}, 1);
      tensors[codebook + ".cluster_usage"] = at::rand({q.bins}, at::kDouble) + 0.5;
    }
  }
  return tensors;
}

}  // namespace ppx::test
