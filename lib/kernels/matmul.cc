#include "kernels/matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
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
static_assert(kBlockBytes >= InputBytes(WeightForm::kBf16, kPanel, kActivationGroup));
// Rows whose sums and inputs stay in the caches beside it.
constexpr int64_t kMostRows = 48;

static_assert(kPanel == BandWork::kWidthUnit);

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
  ParallelFor(Groups(layout.rows, kRowsPerTask), [&](int64_t task) {
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
  if (IsInteger(w.form())) {
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

// The work on one band while the next is multiplied: its pieces, spread over so many turns, or over
// fewer and Finish.
class Beside {
 public:
  Beside(const BandWork& work, int64_t band, int64_t turns)
      : work_(work), band_(band), turns_(turns) {}

  // At most `limit` bytes of what the pieces of this turn read: another part in each call.
  std::span<const std::byte> Ask(int64_t limit) {
    for (; asked_ < Until(turn_ + 1); ++asked_, stretch_ = 0) {
      const BandWork::Reads reads = work_.reads(band_, asked_);
      for (; stretch_ < reads.size(); ++stretch_, offset_ = 0) {
        const std::span<const std::byte> left = reads[stretch_].subspan(offset_);
        if (left.empty()) continue;
        const size_t bytes = std::min(left.size(), static_cast<size_t>(limit));
        offset_ += bytes;
        return left.first(bytes);
      }
    }
    return {};
  }

  void EndTurn() {
    ++turn_;
    asked_ = Until(turn_);
    stretch_ = 0;
    offset_ = 0;
    DoUntil(asked_);
  }

  void Finish() { DoUntil(work_.pieces); }

 private:
  int64_t Until(int64_t turn) const { return work_.pieces * turn / turns_; }
  void DoUntil(int64_t piece) {
    for (; done_ < piece; ++done_) work_.work(band_, done_);
  }

  const BandWork& work_;
  int64_t band_;
  int64_t turns_;
  int64_t turn_ = 0;
  int64_t asked_ = 0;  // the piece whose reads are asked for, and how far
  size_t stretch_ = 0;
  size_t offset_ = 0;
  int64_t done_ = 0;
};

// What of a panel is multiplied with all tiles before the next part is: kBlockBytes of a whole one.
int64_t BlockInputs(WeightForm form) {
  // Groups of activations are not cut.
  const int64_t unit = form == WeightForm::kF32 ? kSixteen : kActivationGroup;
  return kBlockBytes / InputBytes(form, kPanel, unit) * unit;
}

// One panel times rows [begin, end). `beside`, where there is one, has a turn after each block.
template <typename T>
void MultiplyPanel(const PackedMatrix& w, const PreparedRows& prepared, int64_t panel,
                   int64_t begin, int64_t end, T* y, int64_t y_stride, const float* bias,
                   Beside* beside) {
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
  const int64_t tiles = Groups(rows, tile_rows);
  const int64_t whole = tiles == 1 ? inputs : BlockInputs(form);
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
      if (beside != nullptr) {
        job.beside = beside->Ask(job.inputs / UnitInputs(form) * kSixteenBytes);
      }
      multiply(job);
    }
    if (beside != nullptr) beside->EndTurn();
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

// All panels of the bands that this thread takes, and the work on them.
template <typename T>
void MultiplyBands(const PackedMatrix& w, const PreparedRows& prepared, int64_t rows, T* y,
                   int64_t y_stride, const float* bias, const BandWork& work, TaskQueue& bands) {
  const int64_t panels = work.width / kPanel;  // of a part
  const int64_t of_band = work.parts * panels;
  const int64_t pieces = Groups(rows, kMostRows);
  // As many as blocks are multiplied, or more; what they leave is done at the band's end.
  const int64_t turns =
      of_band * pieces * Groups(PaddedInputs(w.form(), w.inputs()), BlockInputs(w.form()));
  std::optional<Beside> before;  // the work on the band before
  while (const std::optional<int64_t> band = bands.Next()) {
    for (int64_t i = 0; i < of_band; ++i) {
      const int64_t panel = (i / panels * work.bands + *band) * panels + i % panels;
      for (int64_t piece = 0; piece < pieces; ++piece) {
        MultiplyPanel(w, prepared, panel, rows * piece / pieces, rows * (piece + 1) / pieces, y,
                      y_stride, bias, before ? &*before : nullptr);
      }
    }
    if (before) before->Finish();
    before.emplace(work, *band, turns);
  }
  if (before) before->Finish();
}

template <typename T>
void Multiply(const PackedMatrix& w, const T* x, const RowLayout& layout, T* y, int64_t y_stride,
              const float* bias, const BandWork* beside) {
  const bool same = w.form() == (std::is_same_v<T, float> ? WeightForm::kF32 : WeightForm::kBf16);
  if (!IsInteger(w.form()) && !same) {
    base::ThrowInternal(
        fmt::format("weights in {} and activations of another type", Name(w.form())));
  }
  if (beside != nullptr && (beside->width % BandWork::kWidthUnit != 0 ||
                            beside->parts * beside->bands * beside->width != w.outputs())) {
    base::ThrowInternal("bands that are not those of the product");
  }
  if (layout.rows == 0) return;
  const PreparedRows& prepared = Prepare(w, x, layout);
  if (beside != nullptr) {
    ParallelTake(beside->bands, [&](TaskQueue& bands) {
      MultiplyBands(w, prepared, layout.rows, y, y_stride, bias, *beside, bands);
    });
    return;
  }
  const int64_t panels = Groups(w.outputs(), kPanel);
  const int64_t pieces = Groups(layout.rows, kMostRows);
  // Small tasks: at the end a thread waits for one at most. A thread's own are neighbours, so what
  // is asked for ahead of a panel's end is what comes next.
  ParallelFor(panels * pieces, [&](int64_t task) {
    const int64_t piece = task % pieces;
    MultiplyPanel(w, prepared, task / pieces, layout.rows * piece / pieces,
                  layout.rows * (piece + 1) / pieces, y, y_stride, bias, nullptr);
  });
}

}  // namespace

void MatMul(const PackedMatrix& w, const float* x, const RowLayout& layout, float* y,
            int64_t y_stride, const float* bias, const BandWork* beside) {
  Multiply(w, x, layout, y, y_stride, bias, beside);
}

void MatMul(const PackedMatrix& w, const Bf16* x, const RowLayout& layout, Bf16* y,
            int64_t y_stride, const float* bias, const BandWork* beside) {
  Multiply(w, x, layout, y, y_stride, bias, beside);
}

}  // namespace ppx::kernels
