// lib/codec/cuda/windows.cuh: the input of a convolution behind what a slot has kept of the input
// before, as the matrix that the weights are multiplied with (nn/streaming_conv.h).
#pragma once

#include <cmath>

#include "codec/cuda/kernel.cuh"

namespace ppx::codec::cuda {

// Also what the slots are to keep for the next frame. It is put aside, for other blocks still read
// what they kept so far; keep.cuh carries it to the slots when the frame is done.
struct WindowsKernel {
  const float* x;         // [rows, steps, channels]
  const float* tail;      // [slots, kept, channels]
  const int32_t* slots;   // [rows], negative for padding, which has kept zeros
  const int32_t* starts;  // [rows]: not 0 where the first step stands for what was kept; or null
  float* windows;         // [rows, steps / stride, kernel, channels]
  float* next_tail;       // [rows, kept, channels]
  int rows;
  int steps;
  int channels;
  int kept;
  int kernel;
  int stride;
  int dilation;
  bool elu;  // of x; what was kept went through it

  static constexpr int kThreads = 256;
  struct Shared {};

  // Vectors of `channels` that a row writes.
  PPX_HOST_DEVICE int Taps() const { return steps / stride * kernel; }
  PPX_HOST_DEVICE int64_t ChunksPerRow() const {
    return (int64_t{Taps()} + kept) * ((channels + kChunk - 1) / kChunk);
  }
  PPX_HOST_DEVICE int64_t BlocksPerRow() const { return BlocksOf(ChunksPerRow(), kThreads); }
  int64_t Blocks() const { return rows * BlocksPerRow(); }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& /*shared*/) const {
    const int64_t row = block / BlocksPerRow();
    const int64_t first = block % BlocksPerRow() * kThreads;
    const int count = Chunks(channels);
    for (int i = team.rank(); i < kThreads && first + i < ChunksPerRow(); i += team.size()) {
      const auto index = static_cast<int>(first + i);
      const int c = index % count;
      const int vector = index / count;
      if (vector < Taps()) {
        const int step = vector / kernel * stride + vector % kernel * dilation;
        StoreChunk(At(row, step, c), windows + (row * Taps() + vector) * channels, c, channels);
      } else {
        const int step = vector - Taps();
        StoreChunk(At(row, steps + step, c), next_tail + (row * kept + step) * channels, c,
                   channels);
      }
    }
  }

 private:
  // Of step `step` of the input behind what was kept.
  PPX_DEVICE Chunk<float> At(int64_t row, int step, int c) const {
    const int64_t slot = slots[row];
    const bool starts_here = starts != nullptr && starts[row] != 0;
    if (step < kept && slot < 0) return {};
    if (step < kept && !starts_here) {
      return LoadChunk(tail + (slot * kept + step) * channels, c, channels);
    }
    const int64_t given = row * steps + (step < kept ? 0 : step - kept);
    Chunk<float> chunk = LoadChunk(x + given * channels, c, channels);
    if (elu) {
      for (int i = 0; i < kChunk; ++i) {
        if (chunk.at[i] <= 0) chunk.at[i] = expm1f(chunk.at[i]);
      }
    }
    return chunk;
  }
};

}  // namespace ppx::codec::cuda
