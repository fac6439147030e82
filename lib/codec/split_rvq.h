// lib/codec/split_rvq.h: the split residual vector quantiser of Mimi (arXiv 2410.00037, section
// 3.3.2): one semantic codebook, and a chain of acoustic ones, both on the same latent.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "codec/mimi_config.h"
#include "nn/linear.h"
#include "nn/weight_loader.h"

namespace ppx::codec {

class SplitRvq {
 public:
  // `latent_dimension`: channels of the latent. Reads the first `levels` codebooks only.
  SplitRvq(const QuantizerConfig& config, int latent_dimension, int levels,
           nn::WeightLoader& loader);

  // [n, T, latent] f32 -> [n, levels, T] int64. Nearest centroid by Euclidean distance, the first
  // index where two are equally near.
  at::Tensor Encode(const at::Tensor& latent) const;
  // [n, levels, T] int64 -> [n, T, latent] f32. Codes are 0 .. bins-1.
  at::Tensor Decode(const at::Tensor& codes) const;

  int levels() const { return static_cast<int>(first_.codebooks.size() + rest_.codebooks.size()); }

  // What another implementation needs (codec/cuda).
  struct Codebook {
    at::Tensor centroids;  // [bins, dimension] f32
    nn::Linear scores;     // x.c - |c|^2 / 2 of each centroid c
  };
  struct Part {
    nn::Linear input_proj;   // [dimension, latent]
    nn::Linear output_proj;  // [latent, dimension]
    std::vector<Codebook> codebooks;
  };
  const Part& first() const { return first_; }
  const Part& rest() const { return rest_; }

 private:
  static Part LoadPart(const QuantizerConfig& config, int latent_dimension, int levels,
                       const std::string& name, nn::WeightLoader& loader);

  Part first_;
  Part rest_;
};

}  // namespace ppx::codec
