// lib/nn/slot_state.h: the streaming state of a model for a number of slots.
//
// A slot is one dialogue's place in a batch. Every module declares its state once, in a
// `StateLayout`, when it is built; `SlotState` then allocates, resets and copies all of it without
// knowing the modules, so that no module can be forgotten when a slot is handed on.
// Not thread-safe: one state, one thread.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ppx::nn {

// Which slots the rows of a batch belong to. Row r of every input is slot `slots[r]`; kPadding
// marks a row that belongs to nobody: it is computed (so that the arithmetic of the other rows does
// not depend on how many there are) and leaves no trace.
using SlotIds = std::vector<int>;
inline constexpr int kPadding = -1;

class StateLayout {
 public:
  using TensorId = size_t;
  using CounterId = size_t;

  // A tensor [slots, row_shape...] that starts as zeros.
  TensorId AddTensor(std::vector<int64_t> row_shape, at::ScalarType dtype);
  // One integer a slot that starts at 0: steps done, or "has begun".
  CounterId AddCounter();

 private:
  friend class SlotState;
  struct TensorSpec {
    std::vector<int64_t> row_shape;
    at::ScalarType dtype;
  };
  std::vector<TensorSpec> tensors_;
  size_t counters_ = 0;
};

class SlotState {
 public:
  SlotState(const StateLayout& layout, int slots, at::Device device);

  int slots() const { return slots_; }

  // Back to what a new state holds, for one slot.
  void Reset(int slot);

  // Makes `slot` continue where `source_slot` of `source` stands. Both have the same layout.
  void CopySlot(const SlotState& source, int source_slot, int slot);

  // The rows of `ids`, [ids.size(), row_shape...]; padding rows are zeros. May alias the state.
  at::Tensor Gather(StateLayout::TensorId id, const SlotIds& ids) const;
  // Stores the rows of `ids`; padding rows are dropped.
  void Scatter(StateLayout::TensorId id, const SlotIds& ids, const at::Tensor& rows);

  // All slots, [slots, row_shape...], for modules that address slots themselves.
  at::Tensor& tensor(StateLayout::TensorId id) { return tensors_[id]; }
  int64_t& counter(StateLayout::CounterId id, int slot) {
    return counters_[id][static_cast<size_t>(slot)];
  }
  int64_t counter(StateLayout::CounterId id, int slot) const {
    return counters_[id][static_cast<size_t>(slot)];
  }

  int64_t bytes() const;

 private:
  // True where the rows are exactly all slots in order, so that no copy is needed.
  bool IsIdentity(const SlotIds& ids) const;

  int slots_;
  std::vector<at::Tensor> tensors_;
  std::vector<std::vector<int64_t>> counters_;
};

}  // namespace ppx::nn
