// lib/kernels/packed_matrix.h: a matrix of weights in the form and order in which the kernels of
// matmul.h read it, once from memory for all rows.
//
// Outputs lie side by side in panels of 64 (the last one of as many sixteens as are left), a
// panel's inputs one after another. Missing outputs and inputs are zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "kernels/host_buffer.h"

namespace ppx::kernels {

enum class WeightForm {
  kF32,
  kBf16,
  // 8 bits with one scale an output; w = scale * q, q in -127..127, scale = max |w| / 127.
  kInt8,
  // 4 bits with one scale (float16) for each 32 inputs of an output; w = scale * q, q in -8..7.
  kInt4
};

const char* Name(WeightForm form);  // "f32", "bf16", "int8", "int4"

// Inputs that share a scale of the weights, of kInt4.
inline constexpr int64_t kInt4Group = 32;
// Inputs that share a scale of the activations, in both integer forms; the last ones of a row may
// be fewer. A power of two.
inline constexpr int64_t kActivationGroup = 512;

// Where the source's numbers are: row-major [outputs, inputs], finite.
struct MatrixSource {
  const void* data = nullptr;
  enum class Type { kF32, kBf16 } type = Type::kF32;
  int64_t outputs = 0;
  int64_t inputs = 0;
};

class PackedMatrix {
 public:
  PackedMatrix() = default;
  PackedMatrix(WeightForm form, const MatrixSource& source);

  // Over bytes that `Pack` made; `owner` keeps them alive. Aligned to 64 bytes.
  PackedMatrix(WeightForm form, int64_t outputs, int64_t inputs, const std::byte* bytes,
               std::shared_ptr<const void> owner);

  static size_t Bytes(WeightForm form, int64_t outputs, int64_t inputs);
  // Writes Bytes(...) bytes, on several threads; the same on every machine. kF32 to kBf16 rounds to
  // the nearest, ties to even.
  static void Pack(WeightForm form, const MatrixSource& source, std::byte* bytes);

  // Output `o` as the kernels understand it: [inputs] floats. For tests and for reports of what a
  // form costs in accuracy.
  void Unpack(int64_t output, float* row) const;

  bool defined() const { return bytes_ != nullptr; }
  WeightForm form() const { return form_; }
  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }
  size_t size_bytes() const { return Bytes(form_, outputs_, inputs_); }
  const std::byte* bytes() const { return bytes_; }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  WeightForm form_ = WeightForm::kF32;
  int64_t outputs_ = 0;
  int64_t inputs_ = 0;
  const std::byte* bytes_ = nullptr;
  std::shared_ptr<const void> owner_;
};

}  // namespace ppx::kernels
