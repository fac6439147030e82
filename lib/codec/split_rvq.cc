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
  part.input_proj = loader.MakeLinear(
      loader.TakeFloat(name + ".input_proj.weight", {dimension, latent, 1}).squeeze(-1));
  part.output_proj = loader.MakeLinear(
      loader.TakeFloat(name + ".output_proj.weight", {latent, dimension, 1}).squeeze(-1));
  for (int level = 0; level < levels; ++level) {
    const std::string codebook = fmt::format("{}.vq.layers.{}._codebook", name, level);
    const at::Tensor sum = loader.TakeFloat(codebook + ".embedding_sum", {config.bins, dimension});
    const at::Tensor usage = loader.TakeFloat(codebook + ".cluster_usage", {config.bins});
    const at::Tensor centroids = sum / usage.clamp_min(kLeastUsage).unsqueeze(1);
    // argmin |x - c|^2 = argmax (x.c - |c|^2 / 2). Plain float32 distances differ from it by less
    // than the rounding of either, which decides only between centroids that are equally near.
    part.codebooks.push_back(
        {centroids, loader.MakeLinear(centroids, centroids.square().sum(1).mul_(-0.5))});
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

at::Tensor SplitRvq::Encode(const at::Tensor& latent) const {
  std::vector<at::Tensor> codes;
  for (const Part* part : {&first_, &rest_}) {
    if (part->codebooks.empty()) continue;
    at::Tensor residual = part->input_proj(latent);  // [n, T, dimension]
    for (const Codebook& codebook : part->codebooks) {
      const at::Tensor index = codebook.scores(residual).argmax(-1);  // [n, T]
      codes.push_back(index);
      residual.sub_(at::embedding(codebook.centroids, index));
    }
  }
  return at::stack(codes, 1);
}

at::Tensor SplitRvq::Decode(const at::Tensor& codes) const {
  int64_t level = 0;
  const auto decode_part = [&](const Part& part) {
    at::Tensor sum;
    for (const Codebook& codebook : part.codebooks) {
      const at::Tensor entry = at::embedding(codebook.centroids, codes.select(1, level++));
      sum = sum.defined() ? sum.add_(entry) : entry;
    }
    return part.output_proj(sum);  // [n, T, latent]
  };
  at::Tensor latent = decode_part(first_);
  return rest_.codebooks.empty() ? latent : latent.add_(decode_part(rest_));
}

}  // namespace ppx::codec
