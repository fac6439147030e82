#include "kernels/matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "kernels/isa.h"
#include "kernels/panel.h"
#include "kernels/parallel.h"

namespace ppx::kernels {
namespace {

// What of a panel is multiplied with several tiles of rows, one after another, before the next part
// is read: it stays in the second cache meanwhile, beside the next part that is asked for.
constexpr int64_t kBlockBytes = 64 << 10;
// Rows whose sums and inputs stay in the caches beside it.
constexpr int64_t kMostRows = 48;

const KernelTable& Kernels() {
#if defined(__x86_64__)
  switch (CurrentIsa()) {
    case Isa::kAvx512:
      return kAvx512Kernels;
    case Isa::kAvx2:
      return kAvx2Kernels;
    case Isa::kPortable:
      break;
  }
#endif
  return kPortableKernels;
}

// The inputs of all rows in the form that the kernels take.
struct PreparedRows {
  std::vector<const std::byte*> x;  // one a row
  int64_t groups = 0;               // scales a row
  int64_t parts = 0;                // starts a row
  std::vector<float> scales;        // [rows][groups]
  std::vector<int32_t> starts;      // [rows][parts]
  std::vector<std::byte> storage;
};

// Kept from one product to the next: a small one would spend its time on memory of its own.
PreparedRows& Workspace() {
  thread_local PreparedRows rows;
  return rows;
}

template <typename T>
void Grow(std::vector<T>& memory, int64_t size) {
  if (memory.size() < static_cast<size_t>(size)) memory.resize(static_cast<size_t>(size));
}

template <typename T>
void QuantiseRows(const T* x, const RowLayout& layout, WeightForm form, int64_t inputs,
                  PreparedRows& prepared) {
  constexpr int64_t kLine = 64;
  const int64_t padded = PaddedInputs(form, inputs);
  // A line further apart than a power of two, or all rows would want one place in the first cache.
  const int64_t stride = padded + kLine;
  prepared.groups = Groups(padded, kActivationGroup);
  prepared.parts = Groups(padded, StartInputs(form));
  Grow(prepared.scales, layout.rows * prepared.groups);
  Grow(prepared.starts, layout.rows * prepared.parts);
  Grow(prepared.storage, layout.rows * stride);
  const auto quantise = std::is_same_v<T, float> ? Kernels().quantise_f32 : Kernels().quantise_bf16;
  constexpr int64_t kRowsPerTask = 4;
  ParallelFor((layout.rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
    const int64_t end = std::min(layout.rows, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) {
      quantise({.x = x + layout.Offset(row),
                .inputs = inputs,
                .padded_inputs = padded,
                .start_inputs = StartInputs(form),
                .zero_point = ZeroPoint(form),
                .q = reinterpret_cast<int8_t*>(prepared.storage.data()) + row * stride,
                .scales = prepared.scales.data() + row * prepared.groups,
                .starts = prepared.starts.data() + row * prepared.parts});
    }
  });
  for (int64_t row = 0; row < layout.rows; ++row) {
    prepared.x[static_cast<size_t>(row)] = prepared.storage.data() + row * stride;
  }
}

template <typename T>
const PreparedRows& Prepare(const PackedMatrix& w, const T* x, const RowLayout& layout) {
  PreparedRows& prepared = Workspace();
  Grow(prepared.x, layout.rows);
  if (w.form() == WeightForm::kInt8 || w.form() == WeightForm::kInt4) {
    QuantiseRows(x, layout, w.form(), w.inputs(), prepared);
    return prepared;
  }
  prepared.groups = 0;
  const int64_t padded = PaddedInputs(w.form(), w.inputs());
  const bool copy = padded != w.inputs();
  const auto row_bytes = padded * static_cast<int64_t>(sizeof(T));
  if (copy) Grow(prepared.storage, layout.rows * row_bytes);
  for (int64_t row = 0; row < layout.rows; ++row) {
    const T* from = x + layout.Offset(row);
    const auto* bytes = reinterpret_cast<const std::byte*>(from);
    if (copy) {
      std::byte* to = prepared.storage.data() + row * row_bytes;
      std::byte* end = std::copy(bytes, bytes + w.inputs() * static_cast<int64_t>(sizeof(T)), to);
      std::fill(end, to + row_bytes, std::byte{0});
      bytes = to;
    }
    prepared.x[static_cast<size_t>(row)] = bytes;
  }
  return prepared;
}

// One panel times rows [begin, end).
template <typename T>
void MultiplyPanel(const PackedMatrix& w, const PreparedRows& prepared, int64_t panel,
                   int64_t begin, int64_t end, T* y, int64_t y_stride, const float* bias) {
  const KernelTable& kernels = Kernels();
  const WeightForm form = w.form();
  const auto form_index = static_cast<size_t>(form);
  const int64_t first = panel * kPanel;
  const int64_t columns = PanelColumns(w.outputs(), first);
  const int64_t used = std::min(kPanel, w.outputs() - first);
  const int64_t inputs = PaddedInputs(form, w.inputs());
  const int64_t element = form == WeightForm::kF32 ? 4 : form == WeightForm::kBf16 ? 2 : 1;
  const std::byte* weights = w.bytes() + panel * PanelBytes(form, kPanel, w.inputs());
  const auto multiply = kernels.multiply[form_index][static_cast<size_t>(columns / kSixteen - 1)];

  alignas(64) float sums[kMostRows][kPanel];
  alignas(64) float panel_bias[kPanel] = {};
  if (bias != nullptr) std::copy(bias + first, bias + first + used, panel_bias);
  // The sums of int8 are scaled at the end, and the bias is not.
  const bool scaled = form == WeightForm::kInt8;
  const int64_t rows = end - begin;
  kernels.begin(rows, scaled || bias == nullptr ? nullptr : panel_bias, sums[0]);
  // A single tile waits for memory, and may be wider than is best for the registers.
  const int64_t tile_rows = rows <= kTileRows ? kTileRows : kernels.tile_rows[form_index];
  const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
  const int64_t whole =
      tiles == 1 ? inputs
                 : std::max<int64_t>(1, kBlockBytes / InputBytes(form, columns, kActivationGroup)) *
                       kActivationGroup;
  for (int64_t at = 0; at < inputs; at += whole) {
    PanelJob job;
    job.weights = weights + InputBytes(form, columns, at);
    job.inputs = std::min(whole, inputs - at);
    const int64_t bytes = InputBytes(form, columns, job.inputs);
    job.tiles = static_cast<int>(tiles);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t from = rows * tile / tiles;
      job.rows = static_cast<int>(rows * (tile + 1) / tiles - from);
      for (int r = 0; r < job.rows; ++r) {
        const auto row = static_cast<size_t>(begin + from + r);
        job.x[r] = prepared.x[row] + at * element;
        if (prepared.groups > 0) {
          job.scales[r] = prepared.scales.data() + static_cast<int64_t>(row) * prepared.groups +
                          at / kActivationGroup;
          job.starts[r] = prepared.starts.data() + static_cast<int64_t>(row) * prepared.parts +
                          at / StartInputs(form);
        }
      }
      job.sums = sums[from];
      // With one tile the panel is a single stream, which the machine foresees by itself.
      if (tiles > 1) job.ahead = job.weights + bytes + bytes * tile / tiles;
      multiply(job);
    }
  }
  // Read here, where they are next in the stream of weights: sooner a thread would wait for them.
  const std::byte* scales = weights + InputBytes(form, columns, inputs);
  const PanelResult result{.sums = sums[0],
                           .rows = rows,
                           .columns = used,
                           .scales = scaled ? reinterpret_cast<const float*>(scales) : nullptr,
                           .bias = scaled ? panel_bias : nullptr,
                           .y = y + begin * y_stride + first,
                           .y_stride = y_stride};
  (std::is_same_v<T, float> ? kernels.finish_f32 : kernels.finish_bf16)(result);
}

template <typename T>
void Multiply(const PackedMatrix& w, const T* x, const RowLayout& layout, T* y, int64_t y_stride,
              const float* bias) {
  const bool integers = w.form() == WeightForm::kInt8 || w.form() == WeightForm::kInt4;
  const bool same = w.form() == (std::is_same_v<T, float> ? WeightForm::kF32 : WeightForm::kBf16);
  if (!integers && !same) {
    base::ThrowInternal(
        fmt::format("weights in {} and activations of another type", Name(w.form())));
  }
  if (layout.rows == 0) return;
  const PreparedRows& prepared = Prepare(w, x, layout);
  const int64_t panels = (w.outputs() + kPanel - 1) / kPanel;
  const int64_t pieces = (layout.rows + kMostRows - 1) / kMostRows;
  // Small tasks: at the end a thread waits for one at most. A thread's own are neighbours, so what
  // is asked for ahead of a panel's end is what comes next.
  ParallelFor(panels * pieces, [&](int64_t task) {
    const int64_t piece = task % pieces;
    MultiplyPanel(w, prepared, task / pieces, layout.rows * piece / pieces,
                  layout.rows * (piece + 1) / pieces, y, y_stride, bias);
  });
}

}  // namespace

void MatMul(const PackedMatrix& w, const float* x, const RowLayout& layout, float* y,
            int64_t y_stride, const float* bias) {
  Multiply(w, x, layout, y, y_stride, bias);
}

void MatMul(const PackedMatrix& w, const Bf16* x, const RowLayout& layout, Bf16* y,
            int64_t y_stride, const float* bias) {
  Multiply(w, x, layout, y, y_stride, bias);
}

}  // namespace ppx::kernels
