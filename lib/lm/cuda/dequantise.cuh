// lib/lm/cuda/dequantise.cuh: an int8 matrix as numbers, for a product that knows no int8.
#pragma once

#include "lm/cuda/kernel.cuh"

namespace ppx::lm::cuda {

// output[o, i] = scales[o] * weights[o, i]
template <class T>
struct DequantiseKernel {
  const int8_t* weights;  // [outputs, inputs]
  const float* scales;    // [outputs]
  T* output;              // [outputs, inputs]
  int outputs;
  int inputs;

  static constexpr int kThreads = 256;
  struct Shared {};

  int64_t Blocks() const { return outputs; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t row, Shared& /*shared*/) const {
    const int8_t* from = weights + row * inputs;
    for (int c = team.rank(); c < Chunks(inputs); c += team.size()) {
      Chunk<T> chunk{};
      for (int i = 0; i < kChunk && c * kChunk + i < inputs; ++i) {
        chunk.at[i] = FromFloat<T>(scales[row] * static_cast<float>(from[c * kChunk + i]));
      }
      StoreChunk(chunk, output + row * inputs, c, inputs);
    }
  }
};

}  // namespace ppx::lm::cuda
