#include "nn/slot_state.h"

#include <utility>

#include "base/error.h"

namespace ppx::nn {

StateLayout::TensorId StateLayout::AddTensor(std::vector<int64_t> row_shape, at::ScalarType dtype) {
  tensors_.push_back({std::move(row_shape), dtype});
  return tensors_.size() - 1;
}

StateLayout::CounterId StateLayout::AddCounter() { return counters_++; }

SlotState::SlotState(const StateLayout& layout, int slots, at::Device device) : slots_(slots) {
  for (const auto& spec : layout.tensors_) {
    std::vector<int64_t> shape{slots};
    shape.insert(shape.end(), spec.row_shape.begin(), spec.row_shape.end());
    tensors_.push_back(at::zeros(shape, at::TensorOptions().dtype(spec.dtype).device(device)));
  }
  counters_.assign(layout.counters_, std::vector<int64_t>(static_cast<size_t>(slots), 0));
}

void SlotState::Reset(int slot) {
  for (auto& tensor : tensors_) tensor.select(0, slot).zero_();
  for (auto& counter : counters_) counter[static_cast<size_t>(slot)] = 0;
}

void SlotState::CopySlot(const SlotState& source, int source_slot, int slot) {
  if (source.tensors_.size() != tensors_.size() || source.counters_.size() != counters_.size()) {
    base::ThrowInternal("CopySlot between states of different layouts");
  }
  for (size_t i = 0; i < tensors_.size(); ++i) {
    tensors_[i].select(0, slot).copy_(source.tensors_[i].select(0, source_slot));
  }
  for (size_t i = 0; i < counters_.size(); ++i) {
    counters_[i][static_cast<size_t>(slot)] = source.counters_[i][static_cast<size_t>(source_slot)];
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
