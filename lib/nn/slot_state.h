// lib/nn/slot_state.h: the streaming state of a model for a number of slots.
//
// A slot is one dialogue's place in a batch. Every module declares its state once, in a
// `StateLayout`, when it is built; `SlotState` then allocates, resets and copies all of it without
// knowing the modules, so that no module can be forgotten when a slot is handed on.
// Not thread-safe: one state, one thread.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ppx::nn {

// Which slots the rows of a batch belong to. Row r of every input is slot `slots[r]`; kPadding
// marks a row that belongs to nobody: it is computed (so that the arithmetic of the other rows does
// not depend on how many there are) and leaves no trace.
using SlotIds = std::vector<int>;
inline constexpr int kPadding = -1;

// Where a slot's ring lies in a tensor that holds those of all slots one behind the other, counted
// in steps.
struct RingPlace {
  int64_t first = 0;     // steps of the rings before it
  int64_t capacity = 0;  // steps of its own
};

// Rings of one length.
std::vector<RingPlace> EqualPlaces(int64_t slots, int64_t capacity);

class StateLayout {
 public:
  using TensorId = size_t;
  using CounterId = size_t;

  // A tensor [slots, row_shape...] that starts as zeros.
  TensorId AddTensor(std::vector<int64_t> row_shape, at::ScalarType dtype);
  // One integer a slot that starts at 0: steps done, or "has begun".
  CounterId AddCounter();
  // A ring [heads, capacity, dim] for each slot, filled step by step; `steps` counts those written
  // so far. What was never written is neither cleared nor copied again. A slot of a shorter
  // dialogue has a ring of fewer steps, so the tensor is flat: [heads * steps of all slots, dim].
  TensorId AddRing(int64_t heads, int64_t capacity, int64_t dim, at::ScalarType dtype,
                   CounterId steps);

  // What a slot takes whose dialogue has at most so many steps; 0: any number.
  int64_t BytesPerSlot(int64_t steps = 0) const;

 private:
  friend class SlotState;
  struct TensorSpec {
    std::vector<int64_t> row_shape;
    at::ScalarType dtype;
    bool ring = false;
    CounterId steps = 0;

    // Of the ring of a dialogue of so many steps; 0: any number.
    int64_t Capacity(int64_t dialogue_steps) const;
  };
  std::vector<TensorSpec> tensors_;
  size_t counters_ = 0;
};

// What one slot held at one moment, no larger than what it had written.
struct SlotSnapshot {
  std::vector<at::Tensor> tensors;  // of a slot; rings cut to the steps written
  std::vector<int64_t> counters;

  int64_t bytes() const;
};

class SlotState {
 public:
  SlotState(const StateLayout& layout, int slots, at::Device device);
  // A slot for each of `steps`, the most that its dialogues have; 0: any number.
  SlotState(const StateLayout& layout, const std::vector<int64_t>& steps, at::Device device);

  int slots() const { return slots_; }

  // Back to what a new state holds, for one slot.
  void Reset(int slot);

  SlotSnapshot Save(int slot) const;
  // Makes `slot` continue where the snapshot, of a state of the same layout, was taken. Throws
  // base::Error (kInternal) where a ring of the slot is shorter than what was written.
  void Restore(const SlotSnapshot& snapshot, int slot);

  // The rows of `ids`, [ids.size(), row_shape...]; padding rows are zeros. May alias the state.
  at::Tensor Gather(StateLayout::TensorId id, const SlotIds& ids) const;
  // Stores the rows of `ids`; padding rows are dropped.
  void Scatter(StateLayout::TensorId id, const SlotIds& ids, const at::Tensor& rows);

  // All slots, [slots, row_shape...] or flat rings, for modules that address slots themselves.
  at::Tensor& tensor(StateLayout::TensorId id) { return tensors_[id]; }
  // Where the slots' rings lie in it. Fixed for the state's life.
  std::span<const RingPlace> places(StateLayout::TensorId id) const { return places_[id]; }
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
  // What so many steps (by default the slot's) have written of a slot's ring, [heads, steps or
  // capacity, dim]; all of any other tensor. Aliases the state.
  at::Tensor Written(StateLayout::TensorId id, int slot, int64_t steps) const;
  at::Tensor Written(StateLayout::TensorId id, int slot) const;

  int slots_;
  StateLayout layout_;
  std::vector<at::Tensor> tensors_;
  std::vector<std::vector<RingPlace>> places_;  // of each tensor; empty where it is no ring
  std::vector<std::vector<int64_t>> counters_;
};

}  // namespace ppx::nn
