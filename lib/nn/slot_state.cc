#include "nn/slot_state.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace ppx::nn {

StateLayout::TensorId StateLayout::AddTensor(std::vector<int64_t> row_shape, at::ScalarType dtype) {
  tensors_.push_back({std::move(row_shape), dtype});
  return tensors_.size() - 1;
}

StateLayout::CounterId StateLayout::AddCounter() { return counters_++; }

StateLayout::TensorId StateLayout::AddRing(std::vector<int64_t> row_shape, at::ScalarType dtype,
                                           int64_t ring, CounterId steps) {
  tensors_.push_back({std::move(row_shape), dtype, ring, steps});
  return tensors_.size() - 1;
}

int64_t StateLayout::BytesPerSlot() const {
  int64_t total = 0;
  for (const TensorSpec& spec : tensors_) {
    int64_t cells = static_cast<int64_t>(c10::elementSize(spec.dtype));
    for (const int64_t size : spec.row_shape) cells *= size;
    total += cells;
  }
  return total;
}

int64_t SlotSnapshot::bytes() const {
  int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += static_cast<int64_t>(tensor.nbytes());
  return total;
}

SlotState::SlotState(const StateLayout& layout, int slots, at::Device device)
    : slots_(slots), layout_(layout) {
  for (const auto& spec : layout.tensors_) {
    std::vector<int64_t> shape{slots};
    shape.insert(shape.end(), spec.row_shape.begin(), spec.row_shape.end());
    tensors_.push_back(at::zeros(shape, at::TensorOptions().dtype(spec.dtype).device(device)));
  }
  counters_.assign(layout.counters_, std::vector<int64_t>(static_cast<size_t>(slots), 0));
}

int64_t SlotState::Steps(StateLayout::TensorId id, int slot) const {
  const auto& spec = layout_.tensors_[id];
  return spec.ring < 0 ? 0 : counter(spec.steps, slot);
}

at::Tensor SlotState::Written(StateLayout::TensorId id, int slot, int64_t steps) const {
  const at::Tensor row = tensors_[id].select(0, slot);
  const int64_t ring = layout_.tensors_[id].ring;
  return ring < 0 ? row : row.narrow(ring, 0, std::min(steps, row.size(ring)));
}

void SlotState::Reset(int slot) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    Written(i, slot, Steps(i, slot)).zero_();
  }
  for (auto& counter : counters_) counter[static_cast<size_t>(slot)] = 0;
}

SlotSnapshot SlotState::Save(int slot) const {
  SlotSnapshot snapshot;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    snapshot.tensors.push_back(Written(i, slot, Steps(i, slot)).clone());
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
  for (size_t i = 0; i < counters_.size(); ++i) {
    counters_[i][static_cast<size_t>(slot)] = snapshot.counters[i];
  }
  for (size_t i = 0; i < tensors_.size(); ++i) {
    Written(i, slot, Steps(i, slot)).copy_(snapshot.tensors[i]);
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
