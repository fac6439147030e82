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
  // A tensor as above that is filled cell by cell along dimension `ring` of its row; `steps` counts
  // the cells written so far. What was never written is neither cleared nor copied again.
  TensorId AddRing(std::vector<int64_t> row_shape, at::ScalarType dtype, int64_t ring,
                   CounterId steps);

  // What a slot takes.
  int64_t BytesPerSlot() const;

 private:
  friend class SlotState;
  struct TensorSpec {
    std::vector<int64_t> row_shape;
    at::ScalarType dtype;
    int64_t ring = -1;  // dimension of the row, -1 for a tensor that is not a ring
    CounterId steps = 0;
  };
  std::vector<TensorSpec> tensors_;
  size_t counters_ = 0;
};

// What one slot held at one moment, no larger than what it had written.
struct SlotSnapshot {
  std::vector<at::Tensor> tensors;  // of a slot; rings cut to the cells written
  std::vector<int64_t> counters;

  int64_t bytes() const;
};

class SlotState {
 public:
  SlotState(const StateLayout& layout, int slots, at::Device device);

  int slots() const { return slots_; }

  // Back to what a new state holds, for one slot.
  void Reset(int slot);

  SlotSnapshot Save(int slot) const;
  // Makes `slot` continue where the snapshot, of a state of the same layout, was taken.
  void Restore(const SlotSnapshot& snapshot, int slot);

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
  // Cells written of a ring; 0 for other tensors.
  int64_t Steps(StateLayout::TensorId id, int slot) const;
  // The part of a slot's tensor that so many steps have written. Aliases the state.
  at::Tensor Written(StateLayout::TensorId id, int slot, int64_t steps) const;

  int slots_;
  StateLayout layout_;
  std::vector<at::Tensor> tensors_;
  std::vector<std::vector<int64_t>> counters_;
};

}  // namespace ppx::nn
