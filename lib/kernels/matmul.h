// lib/kernels/matmul.h: y = x W^T for few or many rows x, the weights read once.
//
// An output is summed over the inputs in one order, by one thread: it depends neither on the other
// rows, nor on their number, nor on the number of threads. Across instruction sets the result is
// the same to the bit for kF32, kInt8 and kInt4, and differs in the last bits of the sum for kBf16.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "kernels/packed_matrix.h"

namespace ppx::kernels {

// bfloat16, as the upper half of a float32.
using Bf16 = uint16_t;

// Where rows lie: `rows` of them, `stride` elements apart, in runs of `run` rows that begin
// `run_stride` elements apart. Rows may overlap: a convolution over [time, channels] is a product
// whose rows are windows. With run 0 all rows are one run.
struct RowLayout {
  int64_t rows = 0;
  int64_t stride = 0;
  int64_t run = 0;
  int64_t run_stride = 0;

  int64_t Offset(int64_t row) const {
    return run == 0 ? row * stride : (row / run) * run_stride + (row % run) * stride;
  }
};

// Work that waits for memory, done beside a product, which waits for multiplications: on bands of
// its outputs, each in pieces between the multiplications of the next band on the same thread. The
// caches are asked for what a piece reads while the multiplications before it run.
//
// Band b has the outputs [(p * bands + b) * width, (p * bands + b + 1) * width) of each p < parts;
// the product has parts * bands * width outputs.
struct BandWork {
  static constexpr int64_t kWidthUnit = 64;

  int64_t bands = 0;
  int64_t parts = 0;
  int64_t width = 0;   // a multiple of kWidthUnit
  int64_t pieces = 0;  // of a band
  // Two stretches of memory that the piece reads.
  using Reads = std::array<std::span<const std::byte>, 2>;
  std::function<Reads(int64_t band, int64_t piece)> reads;
  // Called once for each piece, in order within a band, when the band's outputs are in y. Must not
  // throw.
  std::function<void(int64_t band, int64_t piece)> work;
};

// y[r, o] = bias[o] + sum over i of x[r, i] * w[o, i], in float32, rounded to the type of y.
//   x     rows of w.inputs() elements, laid out by `layout`
//   y     [rows, w.outputs()], rows `y_stride` elements apart; must not overlap x
//   bias  [outputs], or null
//   beside  null, or work on the result, all of which is done when this returns
// Forms: kF32 with float; kBf16 with Bf16; kInt8 and kInt4 with both. With an integer form each 512
// inputs of a row are rounded to 8 bits with a scale of their own (max |x| / 127) before they are
// multiplied.
// Throws base::Error (kInternal) for a form with a type it does not go with, and for bands that are
// not the product's.
void MatMul(const PackedMatrix& w, const float* x, const RowLayout& layout, float* y,
            int64_t y_stride, const float* bias = nullptr, const BandWork* beside = nullptr);
void MatMul(const PackedMatrix& w, const Bf16* x, const RowLayout& layout, Bf16* y,
            int64_t y_stride, const float* bias = nullptr, const BandWork* beside = nullptr);

}  // namespace ppx::kernels
