#include "nn/transformer.h"

#include <fmt/format.h>

#include "support/memory_checkpoint.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

using test::CheckClose;
using test::CheckEqual;

std::map<std::string, at::Tensor> GatedLayers(const TransformerSpec& spec) {
  std::map<std::string, at::Tensor> tensors;
  const int64_t d = spec.dim;
  for (int i = 0; i < spec.num_layers; ++i) {
    const std::string layer = fmt::format("t.layers.{}", i);
    tensors[layer + ".self_attn.in_proj_weight"] = at::randn({3 * d, d}) * 0.3;
    tensors[layer + ".self_attn.out_proj.weight"] = at::randn({d, d}) * 0.3;
    tensors[layer + ".gating.linear_in.weight"] = at::randn({2 * spec.hidden, d}) * 0.3;
    tensors[layer + ".gating.linear_out.weight"] = at::randn({d, spec.hidden}) * 0.3;
    tensors[layer + ".norm1.alpha"] = at::rand({1, 1, d}) + 0.5;
    tensors[layer + ".norm2.alpha"] = at::rand({1, 1, d}) + 0.5;
  }
  return tensors;
}

const TransformerSpec kSpec{.dim = 24,
                            .num_heads = 3,
                            .num_layers = 2,
                            .hidden = 20,
                            .context = 11,
                            .norm = NormKind::kRmsNorm,
                            .mlp = MlpKind::kSiluGate};

TEST_CASE("slots that join, leave and wrap get what they get alone") {
  test::Seed(7);
  const auto file = test::MemoryCheckpoint(GatedLayers(kSpec));
  WeightLoader loader(file, {});
  StateLayout layout;
  const Transformer transformer(kSpec, "t", loader, layout);
  loader.Finish();

  const at::Tensor inputs = at::randn({3, 40, kSpec.dim});  // one dialogue each
  std::vector<at::Tensor> alone;
  for (int64_t dialogue = 0; dialogue < 3; ++dialogue) {
    SlotState state(layout, 1, at::kCPU);
    alone.push_back(transformer.Forward(inputs.narrow(0, dialogue, 1), state, {0})[0]);
  }

  SlotState state(layout, 2, at::kCPU);
  // Dialogue 0 has slot 0 for 25 steps, dialogue 1 slot 1 from step 5 on, dialogue 2 takes over
  // slot 0.
  int64_t at_step[3] = {0, 0, 0};
  for (int64_t step = 0; step < 45; ++step) {
    if (step == 25) state.Reset(0);
    const int first = step < 25 ? 0 : 2;
    const bool second_joined = step >= 5;
    const at::Tensor x = at::stack({inputs[first][at_step[first]],
                                    second_joined ? inputs[1][at_step[1]] : at::zeros({kSpec.dim})})
                             .unsqueeze(1);
    const at::Tensor y = transformer.Forward(x, state, {0, second_joined ? 1 : kPadding});
    CheckClose(y[0][0], alone[static_cast<size_t>(first)][at_step[first]++], 2e-5);
    if (second_joined) CheckClose(y[1][0], alone[1][at_step[1]++], 2e-5);
  }
  CHECK(transformer.Offset(state, 0) == 20);
  CHECK(transformer.Offset(state, 1) == 40);
}

TEST_CASE("layers kept on the host give the same bytes") {
  test::Seed(8);
  const auto file = test::MemoryCheckpoint(GatedLayers(kSpec));
  const at::Tensor x = at::randn({1, 17, kSpec.dim});
  std::vector<at::Tensor> results;
  for (const bool int8 : {false, true}) {
    WeightLoader loader(file, {.int8 = int8});
    StateLayout layout;
    const Transformer resident(kSpec, "t", loader, layout);
    StateLayout offloaded_layout;
    const Transformer offloaded(kSpec, "t", loader, offloaded_layout, /*offload=*/true);
    SlotState a(layout, 1, at::kCPU);
    SlotState b(offloaded_layout, 1, at::kCPU);
    results.push_back(resident.Forward(x, a, {0}));
    CheckEqual(offloaded.Forward(x, b, {0}), results.back());
  }
  CHECK_FALSE(at::equal(results[0], results[1]));
}

TEST_CASE("RMSNorm is computed in float32 whatever the type") {
  const at::Tensor x = at::tensor({3.0F, -4.0F}).to(at::kBFloat16);
  const at::Tensor alpha = at::tensor({1.0F, 2.0F});
  // mean of squares 12.5, 1 / sqrt(12.5) = 0.28284
  CheckEqual(RmsNorm(x, alpha), at::tensor({0.848528F, -2.262742F}).to(at::kBFloat16));
  // The largest bfloat16 numbers do not overflow on the way where float32 does not.
  CHECK(
      at::isfinite(RmsNorm(at::full({4}, 1e18, at::kBFloat16), at::ones({4}))).all().item<bool>());
}

}  // namespace
}  // namespace ppx::nn
