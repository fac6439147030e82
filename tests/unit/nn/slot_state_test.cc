#include "nn/slot_state.h"

#include "support/tolerance.h"

namespace ppx::nn {
namespace {

TEST_CASE("gather and scatter address slots by row and leave padding rows without a trace") {
  StateLayout layout;
  const auto id = layout.AddTensor({2}, at::kFloat);
  SlotState state(layout, 3, at::kCPU);
  state.Scatter(id, {2, kPadding, 0},
                at::tensor({1.0F, 2.0F, 9.0F, 9.0F, 3.0F, 4.0F}).view({3, 2}));
  test::CheckEqual(state.tensor(id), at::tensor({3.0F, 4.0F, 0.0F, 0.0F, 1.0F, 2.0F}).view({3, 2}));
  test::CheckEqual(state.Gather(id, {kPadding, 2}),
                   at::tensor({0.0F, 0.0F, 1.0F, 2.0F}).view({2, 2}));
}

TEST_CASE("reset and copy reach every tensor and every counter of one slot only") {
  StateLayout layout;
  const auto a = layout.AddTensor({1}, at::kFloat);
  const auto b = layout.AddTensor({2, 2}, at::kBFloat16);
  const auto steps = layout.AddCounter();
  SlotState state(layout, 2, at::kCPU);
  SlotState other(layout, 1, at::kCPU);
  for (int slot = 0; slot < 2; ++slot) {
    state.tensor(a).select(0, slot).fill_(slot + 1);
    state.tensor(b).select(0, slot).fill_(slot + 1);
    state.counter(steps, slot) = slot + 1;
  }
  other.CopySlot(state, 1, 0);
  CHECK(other.tensor(b).sum().item<float>() == 8);
  CHECK(other.counter(steps, 0) == 2);
  state.Reset(1);
  CHECK(state.tensor(a).sum().item<float>() == 1);
  CHECK(state.tensor(b).sum().item<float>() == 4);
  CHECK(state.counter(steps, 0) == 1);
  CHECK(state.counter(steps, 1) == 0);
  CHECK_THROWS(other.CopySlot(SlotState(StateLayout(), 1, at::kCPU), 0, 0));
}

}  // namespace
}  // namespace ppx::nn
