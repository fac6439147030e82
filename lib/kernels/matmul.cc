#include "kernels/matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "kernels/isa.h"
#include "kernels/number_formats.h"
#include "kernels/panel.h"
#include "kernels/parallel.h"

namespace ppx::kernels {
namespace {

// What of a panel is multiplied with several tiles of rows, one after another, before the next part
// is read: it stays in the second cache meanwhile, beside the next part that is asked for.
constexpr int64_t kBlockBytes = 64 << 10;
// Rows whose sums and inputs stay in the caches beside it.
constexpr int64_t kMostRows = 48;
constexpr int64_t kTasksPerThread = 8;

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
  std::vector<float> scales;        // [rows][groups]
  std::vector<int32_t> sums;        // [rows][groups * kActivationGroup / kInt4Group]
  std::vector<std::byte> storage;
};

template <typename T>
void QuantiseRows(const T* x, const RowLayout& layout, int64_t inputs, PreparedRows& prepared) {
  const int64_t padded = RoundUp(inputs, kActivationGroup);
  const KernelTable& kernels = Kernels();
  prepared.groups = padded / kActivationGroup;
  prepared.scales.resize(static_cast<size_t>(layout.rows * prepared.groups));
  prepared.sums.resize(static_cast<size_t>(layout.rows * padded / kInt4Group));
  prepared.storage.resize(static_cast<size_t>(layout.rows * padded));
  constexpr int64_t kRowsPerTask = 4;
  ParallelFor((layout.rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
    std::vector<float> wide(std::is_same_v<T, float> ? 0 : static_cast<size_t>(inputs));
    const int64_t end = std::min(layout.rows, (task + 1) * kRowsPerTask);
    for (int64_t row = task * kRowsPerTask; row < end; ++row) {
      const T* from = x + layout.Offset(row);
      const float* values = nullptr;
      if constexpr (std::is_same_v<T, float>) {
        values = from;
      } else {
        std::transform(from, from + inputs, wide.begin(), FromBf16);
        values = wide.data();
      }
      kernels.quantise(values, inputs,
                       reinterpret_cast<int8_t*>(prepared.storage.data()) + row * padded,
                       prepared.scales.data() + row * prepared.groups,
                       prepared.sums.data() + row * (padded / kInt4Group));
    }
  });
  for (int64_t row = 0; row < layout.rows; ++row) {
    prepared.x[static_cast<size_t>(row)] = prepared.storage.data() + row * padded;
  }
}

template <typename T>
PreparedRows Prepare(const PackedMatrix& w, const T* x, const RowLayout& layout) {
  PreparedRows prepared;
  prepared.x.resize(static_cast<size_t>(layout.rows));
  if (w.form() == WeightForm::kInt8 || w.form() == WeightForm::kInt4) {
    QuantiseRows(x, layout, w.inputs(), prepared);
    return prepared;
  }
  const int64_t padded = PaddedInputs(w.form(), w.inputs());
  const bool copy = padded != w.inputs();
  const auto row_bytes = padded * static_cast<int64_t>(sizeof(T));
  if (copy) prepared.storage.resize(static_cast<size_t>(layout.rows * row_bytes));
  for (int64_t row = 0; row < layout.rows; ++row) {
    const T* from = x + layout.Offset(row);
    const auto* bytes = reinterpret_cast<const std::byte*>(from);
    if (copy) {
      std::byte* to = prepared.storage.data() + row * row_bytes;
      std::copy(bytes, bytes + w.inputs() * static_cast<int64_t>(sizeof(T)), to);
      bytes = to;
    }
    prepared.x[static_cast<size_t>(row)] = bytes;
  }
  return prepared;
}

void Write(float sum, float& y) { y = sum; }
void Write(float sum, Bf16& y) { y = ToBf16(sum); }

// One panel times rows [begin, end).
template <typename T>
void MultiplyPanel(const PackedMatrix& w, const PreparedRows& prepared, int64_t panel,
                   int64_t begin, int64_t end, T* y, int64_t y_stride, const float* bias) {
  const WeightForm form = w.form();
  const int64_t first = panel * kPanel;
  const int64_t columns = PanelColumns(w.outputs(), first);
  const int64_t used = std::min(kPanel, w.outputs() - first);
  const int64_t inputs = PaddedInputs(form, w.inputs());
  const int64_t element = form == WeightForm::kF32 ? 4 : form == WeightForm::kBf16 ? 2 : 1;
  const std::byte* weights = w.bytes() + panel * PanelBytes(form, kPanel, w.inputs());
  const std::byte* matrix_end = w.bytes() + w.size_bytes();
  const auto multiply =
      Kernels().multiply[static_cast<size_t>(form)][static_cast<size_t>(columns / kSixteen - 1)];

  alignas(64) float sums[kMostRows][kPanel];
  for (int64_t row = 0; row < end - begin; ++row) {
    for (int64_t c = 0; c < kPanel; ++c) {
      // The integer forms' sums are scaled at the end, and the bias is not.
      sums[row][c] = bias != nullptr && form != WeightForm::kInt8 && c < used ? bias[first + c] : 0;
    }
  }
  const int64_t rows = end - begin;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  // With one tile the panel is a single stream, which the machine foresees by itself.
  const int64_t whole =
      tiles == 1 ? inputs
                 : std::max<int64_t>(1, kBlockBytes / InputBytes(form, columns, kActivationGroup)) *
                       kActivationGroup;
  for (int64_t at = 0; at < inputs; at += whole) {
    PanelJob job;
    job.weights = weights + InputBytes(form, columns, at);
    job.inputs = std::min(whole, inputs - at);
    const int64_t bytes = InputBytes(form, columns, job.inputs);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t from = rows * tile / tiles;
      job.rows = static_cast<int>(rows * (tile + 1) / tiles - from);
      for (int r = 0; r < job.rows; ++r) {
        const auto row = static_cast<size_t>(begin + from + r);
        job.x[r] = prepared.x[row] + at * element;
        if (prepared.groups > 0) {
          job.scales[r] = prepared.scales.data() + static_cast<int64_t>(row) * prepared.groups +
                          at / kActivationGroup;
          job.group_sums[r] =
              prepared.sums.data() +
              static_cast<int64_t>(row) * prepared.groups * (kActivationGroup / kInt4Group) +
              at / kInt4Group;
        }
      }
      job.sums = sums[from];
      if (tiles > 1) {
        // What follows, shared out among the tiles.
        job.ahead = job.weights + bytes + bytes * tile / tiles;
        job.ahead_bytes = std::clamp<int64_t>(matrix_end - job.ahead, 0, bytes / tiles);
      }
      multiply(job);
    }
  }
  const auto* scales = reinterpret_cast<const float*>(weights + InputBytes(form, columns, inputs));
  for (int64_t row = 0; row < rows; ++row) {
    T* to = y + (begin + row) * y_stride + first;
    for (int64_t c = 0; c < used; ++c) {
      float sum = sums[row][c];
      if (form == WeightForm::kInt8) {
        sum *= scales[c];
        if (bias != nullptr) sum += bias[first + c];
      }
      Write(sum, to[c]);
    }
  }
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
  const PreparedRows prepared = Prepare(w, x, layout);
  const int64_t panels = (w.outputs() + kPanel - 1) / kPanel;
  const int64_t pieces = (layout.rows + kMostRows - 1) / kMostRows;
  // Neighbouring panels in one task, so that what comes next is known.
  const int64_t wanted = std::max<int64_t>(1, Threads() * kTasksPerThread / pieces);
  const int64_t strips = std::min(panels, wanted);
  ParallelFor(strips * pieces, [&](int64_t task) {
    const int64_t strip = task / pieces;
    const int64_t piece = task % pieces;
    for (int64_t panel = panels * strip / strips; panel < panels * (strip + 1) / strips; ++panel) {
      MultiplyPanel(w, prepared, panel, layout.rows * piece / pieces,
                    layout.rows * (piece + 1) / pieces, y, y_stride, bias);
    }
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
