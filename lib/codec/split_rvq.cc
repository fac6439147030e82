#include "codec/split_rvq.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"

namespace ppx::codec {
namespace {

constexpr double kLeastUsage = 1e-5;

}  // namespace

SplitRvq::Part SplitRvq::LoadPart(const QuantizerConfig& config, int latent_dimension, int levels,
                                  const std::string& name, nn::WeightLoader& loader) {
  const int64_t latent = latent_dimension;
  const int64_t dimension = config.dimension;
  Part part;
  part.input_proj =
      loader.TakeFloat(name + ".input_proj.weight", {dimension, latent, 1}).squeeze(-1);
  part.output_proj =
      loader.TakeFloat(name + ".output_proj.weight", {latent, dimension, 1}).squeeze(-1);
  for (int level = 0; level < levels; ++level) {
    const std::string codebook = fmt::format("{}.vq.layers.{}._codebook", name, level);
    const at::Tensor sum = loader.TakeFloat(codebook + ".embedding_sum", {config.bins, dimension});
    const at::Tensor usage = loader.TakeFloat(codebook + ".cluster_usage", {config.bins});
    at::Tensor centroids = sum / usage.clamp_min(kLeastUsage).unsqueeze(1);
    at::Tensor half_norms = centroids.square().sum(1).mul_(0.5);
    part.codebooks.push_back({std::move(centroids), std::move(half_norms)});
  }
  return part;
}

SplitRvq::SplitRvq(const QuantizerConfig& config, int latent_dimension, int levels,
                   nn::WeightLoader& loader) {
  if (levels > config.n_q) {
    base::ThrowBadInput(fmt::format(
        "the codec has {} codebooks, the language model uses {}; do the two belong together?",
        config.n_q, levels));
  }
  first_ = LoadPart(config, latent_dimension, 1, "quantizer.rvq_first", loader);
  rest_ = LoadPart(config, latent_dimension, levels - 1, "quantizer.rvq_rest", loader);
}

void SplitRvq::EncodePart(const Part& part, const at::Tensor& latent,
                          std::vector<at::Tensor>& codes) {
  at::Tensor residual = at::linear(latent.transpose(1, 2), part.input_proj);  // [n, T, dimension]
  for (const Codebook& codebook : part.codebooks) {
    // argmin |x - c|^2 = argmax (x.c - |c|^2 / 2). Plain float32 distances differ from it by less
    // than the rounding of either, which decides only between centroids that are equally near.
    const at::Tensor score =
        at::linear(residual, codebook.centroids) - codebook.half_norms;  // [n, T, bins]
    const at::Tensor index = score.argmax(-1);
    residual = residual - at::embedding(codebook.centroids, index);
    codes.push_back(index);
  }
}

at::Tensor SplitRvq::Encode(const at::Tensor& latent) const {
  std::vector<at::Tensor> codes;
  EncodePart(first_, latent, codes);
  EncodePart(rest_, latent, codes);
  return at::stack(codes, 1);
}

at::Tensor SplitRvq::Decode(const at::Tensor& codes) const {
  int64_t level = 0;
  const auto decode_part = [&](const Part& part) {
    at::Tensor sum;
    for (const Codebook& codebook : part.codebooks) {
      const at::Tensor entry = at::embedding(codebook.centroids, codes.select(1, level++));
      sum = sum.defined() ? sum + entry : entry;
    }
    return at::linear(sum, part.output_proj);  // [n, T, latent]
  };
  at::Tensor latent = decode_part(first_);
  if (!rest_.codebooks.empty()) latent = latent + decode_part(rest_);
  return latent.transpose(1, 2);
}

}  // namespace ppx::codec
