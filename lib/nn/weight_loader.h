// lib/nn/weight_loader.h: named tensors of a checkpoint -> tensors on a device, checked as a whole.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kernels/packed_matrix.h"
#include "nn/linear.h"
#include "nn/packed_store.h"
#include "weights/safetensors.h"

namespace ppx::nn {

// A tensor over the bytes of `view`, without a copy; valid while `view`'s file is open. CPU memory.
// Bytes that are not aligned for their type are copied.
at::Tensor TensorOverView(const weights::TensorView& view);

at::ScalarType ToScalarType(weights::DType dtype);
weights::DType FromScalarType(at::ScalarType type);

// Takes tensors out of a checkpoint by name. What is missing, has another shape or holds numbers
// that are not finite is remembered, not thrown: `Finish` reports all of it in one error.
//
// On the CPU a tensor that already has the wanted type is used where it lies in the mapped file.
class WeightLoader {
 public:
  struct Options {
    at::Device device = at::kCPU;
    at::ScalarType dtype = at::kFloat;  // what tables, and matrices that are tensors, are kept in
    // What matrices are packed in; nothing: they stay tensors. On the CPU only.
    std::optional<kernels::WeightForm> form{};
    // In place of `form`, on any device: matrices become quantised tensors (linear.h), with the
    // numbers that kernels::WeightForm::kInt8 has.
    bool int8 = false;
    // Matrices that are neither stay in host memory, where they lie if they have the wanted type,
    // and are copied over for each product: for a model that is run once.
    bool matrices_on_host = false;
    // Where packed matrices may lie ready, and are put; null: nowhere. Not owned.
    PackedStore* store = nullptr;
  };

  WeightLoader(std::shared_ptr<const weights::SafetensorsFile> file, Options options);

  // The tensor in the loader's dtype on the loader's device.
  at::Tensor Take(const std::string& name, const std::vector<int64_t>& shape);
  // The same, in float32 whatever the loader's dtype.
  at::Tensor TakeFloat(const std::string& name, const std::vector<int64_t>& shape);
  // A matrix to multiply with, in the loader's form, else as `Take`.
  Linear TakeLinear(const std::string& name, const std::vector<int64_t>& shape);
  // The same of `rows` rows of a tensor of this shape, from row `first` on.
  Linear TakeLinearRows(const std::string& name, const std::vector<int64_t>& shape, int64_t first,
                        int64_t rows);
  // One made of what `TakeFloat` gave: f32, [outputs, inputs], bias [outputs] or undefined. Packed
  // in kF32 where the loader packs.
  Linear MakeLinear(const at::Tensor& weight, const at::Tensor& bias = {}) const;
  // As TakeLinear (a tensor, quantised or not), but left in CPU memory, pinned where the device is
  // a GPU.
  Linear TakeLinearOnHost(const std::string& name, const std::vector<int64_t>& shape);

  bool Has(const std::string& name) const { return file_->Find(name) != nullptr; }
  // The stored shape; empty where there is no such tensor.
  std::vector<int64_t> ShapeOf(const std::string& name) const;

  // Throws base::Error (kBadInput) that lists every fault found by the calls above.
  void Finish() const;

  // Keeps the mapping alive as long as the tensors over it are used.
  const std::shared_ptr<const weights::SafetensorsFile>& file() const { return file_; }
  const Options& options() const { return options_; }

 private:
  // The view where shape and type are right, else null, and the fault is kept.
  const weights::TensorView* Check(const std::string& name, const std::vector<int64_t>& shape);
  // Checked, numbers included; in CPU memory, as stored.
  at::Tensor TakeRaw(const std::string& name, const std::vector<int64_t>& shape);
  at::Tensor Place(const at::Tensor& raw) const;

  std::shared_ptr<const weights::SafetensorsFile> file_;
  Options options_;
  std::set<std::string> finite_;  // tensors that were looked through
  std::set<std::string> faults_;
};

}  // namespace ppx::nn
