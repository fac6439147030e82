#include "codec/split_rvq.h"

#include <fmt/format.h>

#include <map>

#include "support/memory_checkpoint.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::codec {
namespace {

using test::CheckClose;
using test::CheckEqual;

constexpr int kLatent = 24;
constexpr int kLevels = 4;
const QuantizerConfig kConfig{.dimension = 10, .n_q = 5, .bins = 70};

// Every centroid of a codebook is there twice, half of the bins apart.
std::map<std::string, at::Tensor> Checkpoint() {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [part, levels] : {std::pair{"rvq_first", 1}, std::pair{"rvq_rest", 4}}) {
    const std::string name = fmt::format("quantizer.{}", part);
    tensors[name + ".input_proj.weight"] = at::randn({kConfig.dimension, kLatent, 1});
    tensors[name + ".output_proj.weight"] = at::randn({kLatent, kConfig.dimension, 1});
    for (int level = 0; level < levels; ++level) {
      const std::string codebook = fmt::format("{}.vq.layers.{}._codebook", name, level);
      tensors[codebook + ".embedding_sum"] =
          at::randn({kConfig.bins / 2, kConfig.dimension}).repeat({2, 1});
      tensors[codebook + ".cluster_usage"] = at::rand({kConfig.bins / 2}).repeat({2});
    }
  }
  return tensors;
}

// The codes of `latent` [T, latent], by the definition, in double precision: [levels, T].
at::Tensor Nearest(const std::map<std::string, at::Tensor>& tensors, const at::Tensor& latent) {
  std::vector<at::Tensor> codes;
  for (const auto& [part, levels] : {std::pair{"rvq_first", 1}, std::pair{"rvq_rest", 3}}) {
    const std::string name = fmt::format("quantizer.{}", part);
    at::Tensor residual =
        at::matmul(latent.to(at::kDouble),
                   tensors.at(name + ".input_proj.weight").squeeze(-1).to(at::kDouble).t());
    for (int level = 0; level < levels; ++level) {
      const std::string codebook = fmt::format("{}.vq.layers.{}._codebook", name, level);
      const at::Tensor usage = tensors.at(codebook + ".cluster_usage").clamp_min(1e-5).unsqueeze(1);
      const at::Tensor centroids =
          (tensors.at(codebook + ".embedding_sum") / usage).to(at::kDouble);
      const at::Tensor distances =
          (residual.unsqueeze(1) - centroids.narrow(0, 0, kConfig.bins / 2)).square().sum(-1);
      codes.push_back(distances.argmin(-1));
      residual = residual - centroids.index_select(0, codes.back());
    }
  }
  return at::stack(codes);
}

TEST_CASE("the nearest centroid is found, the first of two that are the same") {
  test::Seed(9);
  const auto tensors = Checkpoint();
  const auto file = test::MemoryCheckpoint(tensors);
  const at::Tensor latent = at::randn({3, 19, kLatent});
  nn::WeightLoader plain_loader(file, {});
  const SplitRvq plain(kConfig, kLatent, kLevels, plain_loader);
  nn::WeightLoader packed_loader(file, {.form = kernels::WeightForm::kF32});
  const SplitRvq packed(kConfig, kLatent, kLevels, packed_loader);
  packed_loader.Finish();

  const at::Tensor codes = packed.Encode(latent);
  CheckEqual(plain.Encode(latent), codes);
  for (int64_t row = 0; row < 3; ++row) {
    CheckEqual(codes[row], Nearest(tensors, latent[row]));
    for (int64_t step = 0; step < 19; ++step) {
      CheckEqual(packed.Encode(latent.narrow(0, row, 1).narrow(1, step, 1)),
                 codes.narrow(0, row, 1).narrow(2, step, 1));
    }
  }
  CheckClose(packed.Decode(codes), plain.Decode(codes), 1e-5);
  CheckEqual(packed.Decode(codes.narrow(0, 1, 1).narrow(2, 5, 3)),
             packed.Decode(codes).narrow(0, 1, 1).narrow(1, 5, 3));
}

}  // namespace
}  // namespace ppx::codec
