// lib/kernels/panel.h: inside this library: how packed matrices lie in memory, and the innermost
// loops, one set for each instruction set.
//
// A panel is up to 64 outputs. Its bytes, for `columns` outputs:
//   kF32   [inputs][columns] float
//   kBf16  [inputs / 2][columns][2] bfloat16
//   kInt8  [inputs / 4][columns][4] q + 128 as unsigned bytes; then [columns] float scales
//   kInt4  [inputs / 32] of: [columns] float16 scales, then [4][columns][4] bytes; byte i of chunk
//   c
//          holds q + 8 of input 8 c + i in its lower half, of input 8 c + 4 + i in its upper half
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/packed_matrix.h"

namespace ppx::kernels {

inline constexpr int64_t kPanel = 64;
inline constexpr int64_t kSixteen = 16;       // outputs of one 512-bit register
inline constexpr int64_t kSixteenBytes = 64;  // that it holds
inline constexpr int kTileRows = 6;           // rows that a kernel computes at once, at most

inline constexpr int64_t kIntegerInputs = 256;  // what integer forms round a row's inputs up to

constexpr int64_t Groups(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }
constexpr int64_t RoundUp(int64_t n, int64_t unit) { return Groups(n, unit) * unit; }

constexpr bool IsInteger(WeightForm form) {
  return form == WeightForm::kInt8 || form == WeightForm::kInt4;
}

// Inputs that share 4 bytes.
constexpr int64_t UnitInputs(WeightForm form) {
  return form == WeightForm::kF32    ? 1
         : form == WeightForm::kBf16 ? 2
         : form == WeightForm::kInt8 ? 4
                                     : 8;
}

constexpr int64_t PaddedInputs(WeightForm form, int64_t inputs) {
  return form == WeightForm::kF32    ? inputs
         : form == WeightForm::kBf16 ? RoundUp(inputs, 2)
                                     : RoundUp(inputs, kIntegerInputs);
}

// Bytes of so many inputs of a panel, without what follows the last one.
constexpr int64_t InputBytes(WeightForm form, int64_t columns, int64_t inputs) {
  return form == WeightForm::kF32    ? inputs * columns * 4
         : form == WeightForm::kBf16 ? inputs * columns * 2
         : form == WeightForm::kInt8 ? inputs * columns
                                     : inputs / kInt4Group * columns * (2 + kInt4Group / 2);
}

constexpr int64_t PanelBytes(WeightForm form, int64_t columns, int64_t inputs) {
  const int64_t scales = form == WeightForm::kInt8 ? columns * 4 : 0;
  return InputBytes(form, columns, PaddedInputs(form, inputs)) + scales;
}

// Inputs, at most, whose products with an integer form are summed as integers, and what is added to
// its weights to make them unsigned.
constexpr int64_t StartInputs(WeightForm form) {
  return form == WeightForm::kInt4 ? kInt4Group : kActivationGroup;
}
constexpr int32_t ZeroPoint(WeightForm form) { return form == WeightForm::kInt4 ? 8 : 128; }

// Columns of the panel that begins at output `first`.
constexpr int64_t PanelColumns(int64_t outputs, int64_t first) {
  const int64_t left = outputs - first;
  return left >= kPanel ? kPanel : RoundUp(left, kSixteen);
}

// Some inputs of one panel times up to kTileRows rows: sums[r][column] += x[r] . w[column].
struct PanelJob {
  const std::byte* weights = nullptr;
  int64_t inputs = 0;  // a multiple of the form's padding
  int rows = 0;
  // The rows' inputs: float, bfloat16 or int8.
  const std::byte* x[kTileRows] = {};
  // Of integer forms: a scale for each kActivationGroup inputs; what an integer sum of StartInputs
  // inputs starts at where weights come with their zero point added.
  const float* scales[kTileRows] = {};
  const int32_t* starts[kTileRows] = {};
  float* sums = nullptr;              // [rows][kPanel]
  const std::byte* ahead = nullptr;   // what will be read next, for the caches; null: nothing
  std::span<const std::byte> beside;  // what other work will read, likewise
  int tiles = 1;  // that read these weights one after another; each asks for its share
};

// A row of activations in 8 bits.
struct QuantisedRow {
  const void* x = nullptr;  // [inputs] float or bfloat16
  int64_t inputs = 0;
  int64_t padded_inputs = 0;
  int64_t start_inputs = 0;
  int32_t zero_point = 0;  // of the weights
  // [padded_inputs], one for each kActivationGroup of them, one for each start_inputs
  int8_t* q = nullptr;
  float* scales = nullptr;
  int32_t* starts = nullptr;
};

// The sums of a panel, on their way out.
struct PanelResult {
  const float* sums = nullptr;  // [rows][kPanel]
  int64_t rows = 0;
  int64_t columns = 0;
  // [columns up to a whole kSixteen] both, or both null: y = sum * scale + bias, rounded after each
  // operation.
  const float* scales = nullptr;
  const float* bias = nullptr;
  void* y = nullptr;
  int64_t y_stride = 0;  // elements
};

struct KernelTable {
  // [form][columns / 16 - 1]
  void (*multiply[4][4])(const PanelJob&);
  int tile_rows[4];  // of a form: rows that are best computed at once
  void (*quantise_f32)(const QuantisedRow&);
  void (*quantise_bf16)(const QuantisedRow&);
  // sums[rows][kPanel] become `bias` [kPanel], or zeros where that is null.
  void (*begin)(int64_t rows, const float* bias, float* sums);
  void (*finish_f32)(const PanelResult&);
  void (*finish_bf16)(const PanelResult&);
};

extern const KernelTable kPortableKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;

}  // namespace ppx::kernels
