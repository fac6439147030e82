#include "lm/depth_transformer.h"

#include "support/random_lm.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::lm {
namespace {

using test::CheckClose;
using test::CheckEqual;

// Logits of all steps [n, steps, card] where the tokens fed on are fixed [n, steps].
at::Tensor Logits(const DepthTransformer& depth, const at::Tensor& temporal, const at::Tensor& text,
                  const at::Tensor& tokens) {
  std::vector<at::Tensor> logits;
  depth.Run(temporal, text, [&](int step, const at::Tensor& step_logits) {
    logits.push_back(step_logits);
    return tokens.select(1, step);
  });
  return at::stack(logits, 1);
}

TEST_CASE("a checkpoint of half as many steps is completed by repeating them") {
  test::Seed(10);
  LmConfig config = test::SmallLmConfig();
  const auto half = test::RandomLmTensors(config, 4);

  // The rule, applied to the tensors themselves.
  auto whole = half;
  for (int i = 0; i < config.depformer_num_layers; ++i) {
    const std::string layer = fmt::format("depformer.layers.{}", i);
    for (const char* name : {".self_attn.in_proj_weight", ".self_attn.out_proj.weight"}) {
      whole[layer + name] = at::cat({half.at(layer + name), half.at(layer + name)});
    }
    for (int k = 0; k < 4; ++k) {
      for (const char* name : {".linear_in.weight", ".linear_out.weight"}) {
        whole[fmt::format("{}.gating.{}{}", layer, k + 4, name)] =
            half.at(fmt::format("{}.gating.{}{}", layer, k, name));
      }
    }
  }
  for (int k = 0; k < 4; ++k) {
    whole[fmt::format("linears.{}.weight", k + 4)] = half.at(fmt::format("linears.{}.weight", k));
    whole[fmt::format("depformer_in.{}.weight", k + 4)] =
        half.at(fmt::format("depformer_in.{}.weight", k));
    if (k < 3) {
      whole[fmt::format("depformer_emb.{}.weight", k + 4)] =
          half.at(fmt::format("depformer_emb.{}.weight", k));
    }
  }
  whole["depformer_emb.3.weight"] = at::zeros({config.card + 1, config.depformer_dim});

  nn::WeightLoader half_loader(test::MemoryCheckpoint(half), {});
  nn::WeightLoader whole_loader(test::MemoryCheckpoint(whole), {});
  const DepthTransformer completed(config, 8, half_loader);
  const DepthTransformer stored(config, 8, whole_loader);
  half_loader.Finish();
  whole_loader.Finish();
  const at::Tensor temporal = at::randn({2, config.dim});
  const at::Tensor text = at::tensor({3, 19}, at::kLong);
  const at::Tensor tokens = at::randint(0, config.card, {2, 8}, at::kLong);
  CheckEqual(Logits(completed, temporal, text, tokens), Logits(stored, temporal, text, tokens));
}

TEST_CASE("steps that are not computed change nothing before them") {
  test::Seed(11);
  const LmConfig config = test::SmallLmConfig();
  const auto tensors = test::RandomLmTensors(config, 8);
  nn::WeightLoader loader(test::MemoryCheckpoint(tensors), {});
  const DepthTransformer all(config, 8, loader);
  const DepthTransformer needed(config, 4, loader);
  loader.Finish();
  const at::Tensor temporal = at::randn({3, config.dim});
  const at::Tensor text = at::tensor({0, 1, 2}, at::kLong);
  const at::Tensor tokens = at::randint(0, config.card, {3, 8}, at::kLong);
  CheckEqual(Logits(needed, temporal, text, tokens),
             Logits(all, temporal, text, tokens).narrow(1, 0, 4));
}

TEST_CASE("a token of -1 adds nothing") {
  test::Seed(12);
  const LmConfig config = test::SmallLmConfig();
  auto tensors = test::RandomLmTensors(config, 8);
  tensors["depformer_emb.1.weight"][5].zero_();
  tensors["depformer_text_emb.weight"][7].zero_();
  nn::WeightLoader loader(test::MemoryCheckpoint(tensors), {});
  const DepthTransformer depth(config, 4, loader);
  const at::Tensor temporal = at::randn({1, config.dim});
  at::Tensor with_zero_rows = at::tensor({1, 5, 2, 3}, at::kLong).view({1, 4});
  at::Tensor with_minus_one = at::tensor({1, -1, 2, 3}, at::kLong).view({1, 4});
  CheckEqual(Logits(depth, temporal, at::tensor({-1}, at::kLong), with_minus_one),
             Logits(depth, temporal, at::tensor({7}, at::kLong), with_zero_rows));
}

}  // namespace
}  // namespace ppx::lm
