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
  other.Restore(state.Save(1), 0);
  CHECK(other.tensor(b).sum().item<float>() == 8);
  CHECK(other.counter(steps, 0) == 2);
  state.Reset(1);
  CHECK(state.tensor(a).sum().item<float>() == 1);
  CHECK(state.tensor(b).sum().item<float>() == 4);
  CHECK(state.counter(steps, 0) == 1);
  CHECK(state.counter(steps, 1) == 0);
  CHECK_THROWS(other.Restore(SlotState(StateLayout(), 1, at::kCPU).Save(0), 0));
}

TEST_CASE("a ring is kept, copied and cleared as far as it was written") {
  StateLayout layout;
  const auto steps = layout.AddCounter();
  const auto ring = layout.AddRing(2, 5, 3, at::kFloat, steps);
  CHECK(layout.BytesPerSlot() == 2 * 5 * 3 * 4);
  SlotState state(layout, 2, at::kCPU);
  state.tensor(ring).fill_(7);
  state.counter(steps, 0) = 2;
  const SlotSnapshot snapshot = state.Save(0);
  CHECK(snapshot.tensors[0].sizes() == at::IntArrayRef({2, 2, 3}));
  CHECK(snapshot.bytes() == 2 * 2 * 3 * 4);

  SlotState other(layout, 1, at::kCPU);
  other.Restore(snapshot, 0);
  CHECK(other.counter(steps, 0) == 2);
  CHECK(other.tensor(ring).sum().item<float>() == 7 * 2 * 2 * 3);
  state.counter(steps, 1) = 9;  // wrapped: all cells were written
  CHECK(state.Save(1).tensors[0].sizes() == at::IntArrayRef({2, 5, 3}));
  state.Reset(1);
  CHECK(state.tensor(ring).narrow(0, 10, 10).sum().item<float>() == 0);
  state.Reset(0);  // only what its two steps had written
  CHECK(state.tensor(ring).narrow(0, 0, 10).sum().item<float>() == 7 * 2 * 3 * 3);
}

TEST_CASE("a slot's ring is as long as its dialogue") {
  StateLayout layout;
  const auto steps = layout.AddCounter();
  const auto ring = layout.AddRing(2, 5, 3, at::kFloat, steps);
  const auto other = layout.AddTensor({4}, at::kFloat);
  CHECK(layout.BytesPerSlot(3) == 2 * 3 * 3 * 4 + 4 * 4);
  CHECK(layout.BytesPerSlot(9) == layout.BytesPerSlot());
  SlotState state(layout, std::vector<int64_t>{3, 0, 9, 1}, at::kCPU);
  CHECK(state.slots() == 4);
  const std::vector<int64_t> capacities{3, 5, 5, 1};
  int64_t first = 0;
  for (size_t slot = 0; slot < capacities.size(); ++slot) {
    CHECK(state.places(ring)[slot].first == first);
    CHECK(state.places(ring)[slot].capacity == capacities[slot]);
    first += capacities[slot];
  }
  CHECK(state.tensor(ring).sizes() == at::IntArrayRef({2 * 14, 3}));
  CHECK(state.bytes() == 2 * 14 * 3 * 4 + 4 * 4 * 4);

  // Every head of the slots has numbers of its own.
  const at::Tensor cells = at::arange(2 * 14 * 3, at::kFloat).view({2 * 14, 3});
  state.tensor(ring).copy_(cells);
  state.tensor(other).copy_(at::arange(16, at::kFloat).view({4, 4}));
  state.counter(steps, 1) = 2;
  const SlotSnapshot snapshot = state.Save(1);
  // Of the slot's heads, at 2 * 3 and 2 * 3 + 5 cells, two steps each.
  test::CheckEqual(snapshot.tensors[0], at::stack({cells.narrow(0, 6, 2), cells.narrow(0, 11, 2)}));
  state.Restore(snapshot, 0);  // a shorter ring that it fits
  CHECK(state.counter(steps, 0) == 2);
  test::CheckEqual(state.Save(0).tensors[0], snapshot.tensors[0]);
  test::CheckEqual(state.Save(0).tensors[1], snapshot.tensors[1]);
  test::CheckEqual(state.tensor(ring).narrow(0, 6, 22), cells.narrow(0, 6, 22));
  state.Restore(snapshot, 2);  // a longer one
  test::CheckEqual(state.Save(2).tensors[0], snapshot.tensors[0]);
  CHECK_THROWS(state.Restore(snapshot, 3));  // too short
  state.counter(steps, 1) = 5;
  CHECK_THROWS(state.Restore(state.Save(1), 0));
  state.counter(steps, 2) = 12;  // wrapped
  CHECK_THROWS(state.Restore(state.Save(2), 0));
  state.Restore(state.Save(2), 1);
  CHECK(state.counter(steps, 1) == 12);
}

}  // namespace
}  // namespace ppx::nn
