#include "nn/slot_state.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace ppx::nn {

std::vector<RingPlace> EqualPlaces(int64_t slots, int64_t capacity) {
  std::vector<RingPlace> places;
  for (int64_t slot = 0; slot < slots; ++slot) {
    places.push_back({.first = slot * capacity, .capacity = capacity});
  }
  return places;
}

StateLayout::TensorId StateLayout::AddTensor(std::vector<int64_t> row_shape, at::ScalarType dtype) {
  tensors_.push_back({std::move(row_shape), dtype});
  return tensors_.size() - 1;
}

StateLayout::CounterId StateLayout::AddCounter() { return counters_++; }

StateLayout::TensorId StateLayout::AddRing(int64_t heads, int64_t capacity, int64_t dim,
                                           at::ScalarType dtype, CounterId steps) {
  tensors_.push_back({{heads, capacity, dim}, dtype, /*ring=*/true, steps});
  return tensors_.size() - 1;
}

int64_t StateLayout::TensorSpec::Capacity(int64_t dialogue_steps) const {
  return dialogue_steps > 0 ? std::min(dialogue_steps, row_shape[1]) : row_shape[1];
}

int64_t StateLayout::BytesPerSlot(int64_t steps) const {
  int64_t total = 0;
  for (const TensorSpec& spec : tensors_) {
    int64_t cells = static_cast<int64_t>(c10::elementSize(spec.dtype));
    for (const int64_t size : spec.row_shape) cells *= size;
    total += spec.ring ? cells / spec.row_shape[1] * spec.Capacity(steps) : cells;
  }
  return total;
}

int64_t SlotSnapshot::bytes() const {
  int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += static_cast<int64_t>(tensor.nbytes());
  return total;
}

SlotState::SlotState(const StateLayout& layout, int slots, at::Device device)
    : SlotState(layout, std::vector<int64_t>(static_cast<size_t>(slots), 0), device) {}

SlotState::SlotState(const StateLayout& layout, const std::vector<int64_t>& steps,
                     at::Device device)
    : slots_(static_cast<int>(steps.size())), layout_(layout) {
  for (const auto& spec : layout.tensors_) {
    std::vector<int64_t> shape{slots_};
    shape.insert(shape.end(), spec.row_shape.begin(), spec.row_shape.end());
    std::vector<RingPlace> places;
    if (spec.ring) {
      int64_t total = 0;
      for (const int64_t most : steps) {
        places.push_back({.first = total, .capacity = spec.Capacity(most)});
        total += places.back().capacity;
      }
      shape = {spec.row_shape[0] * total, spec.row_shape[2]};
    }
    tensors_.push_back(at::zeros(shape, at::TensorOptions().dtype(spec.dtype).device(device)));
    places_.push_back(std::move(places));
  }
  counters_.assign(layout.counters_, std::vector<int64_t>(steps.size(), 0));
}

at::Tensor SlotState::Written(StateLayout::TensorId id, int slot, int64_t steps) const {
  const auto& spec = layout_.tensors_[id];
  if (!spec.ring) return tensors_[id].select(0, slot);
  const RingPlace& place = places_[id][static_cast<size_t>(slot)];
  const int64_t heads = spec.row_shape[0];
  return tensors_[id]
      .narrow(0, heads * place.first, heads * place.capacity)
      .view({heads, place.capacity, spec.row_shape[2]})
      .narrow(1, 0, std::min(steps, place.capacity));
}

at::Tensor SlotState::Written(StateLayout::TensorId id, int slot) const {
  const auto& spec = layout_.tensors_[id];
  return Written(id, slot, spec.ring ? counter(spec.steps, slot) : 0);
}

void SlotState::Reset(int slot) {
  for (size_t i = 0; i < tensors_.size(); ++i) Written(i, slot).zero_();
  for (auto& counter : counters_) counter[static_cast<size_t>(slot)] = 0;
}

SlotSnapshot SlotState::Save(int slot) const {
  SlotSnapshot snapshot;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    snapshot.tensors.push_back(Written(i, slot).clone());
  }
  for (const auto& counter : counters_) {
    snapshot.counters.push_back(counter[static_cast<size_t>(slot)]);
  }
  return snapshot;
}

void SlotState::Restore(const SlotSnapshot& snapshot, int slot) {
  if (snapshot.tensors.size() != tensors_.size() || snapshot.counters.size() != counters_.size()) {
    base::ThrowInternal("a snapshot of another layout");
  }
  Reset(slot);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const at::Tensor& kept = snapshot.tensors[i];
    const auto& spec = layout_.tensors_[i];
    const at::Tensor to = Written(i, slot, spec.ring ? snapshot.counters[spec.steps] : 0);
    if (to.sizes() != kept.sizes()) base::ThrowInternal("a snapshot longer than the slot's ring");
    to.copy_(kept);
  }
  for (size_t i = 0; i < counters_.size(); ++i) {
    counters_[i][static_cast<size_t>(slot)] = snapshot.counters[i];
  }
}

bool SlotState::IsIdentity(const SlotIds& ids) const {
  if (ids.size() != static_cast<size_t>(slots_)) return false;
  for (size_t row = 0; row < ids.size(); ++row) {
    if (ids[row] != static_cast<int>(row)) return false;
  }
  return true;
}

at::Tensor SlotState::Gather(StateLayout::TensorId id, const SlotIds& ids) const {
  const at::Tensor& all = tensors_[id];
  if (IsIdentity(ids)) return all;
  std::vector<int64_t> shape = all.sizes().vec();
  shape[0] = static_cast<int64_t>(ids.size());
  at::Tensor rows = at::zeros(shape, all.options());
  for (size_t row = 0; row < ids.size(); ++row) {
    if (ids[row] != kPadding)
      rows.select(0, static_cast<int64_t>(row)).copy_(all.select(0, ids[row]));
  }
  return rows;
}

void SlotState::Scatter(StateLayout::TensorId id, const SlotIds& ids, const at::Tensor& rows) {
  at::Tensor& all = tensors_[id];
  if (IsIdentity(ids)) {
    all.copy_(rows);
    return;
  }
  for (size_t row = 0; row < ids.size(); ++row) {
    if (ids[row] != kPadding)
      all.select(0, ids[row]).copy_(rows.select(0, static_cast<int64_t>(row)));
  }
}

int64_t SlotState::bytes() const {
  int64_t total = 0;
  for (const auto& tensor : tensors_) total += static_cast<int64_t>(tensor.nbytes());
  return total;
}

}  // namespace ppx::nn
