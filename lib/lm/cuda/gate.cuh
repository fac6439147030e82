// lib/lm/cuda/gate.cuh: the gate of the MLP.
#pragma once

#include <cmath>

#include "lm/cuda/kernel.cuh"

namespace ppx::lm::cuda {

// output = silu(a) * b of input = [a, b], as nn::SiluGate computes it: silu(a) is stored as a T.
template <class T>
struct GateKernel {
  const T* input;  // [rows, 2 * hidden]
  T* output;       // [rows, hidden]
  int rows;
  int hidden;

  static constexpr int kThreads = 128;
  struct Shared {};

  PPX_DEVICE int64_t BlocksPerRow() const { return (Chunks(hidden) + kThreads - 1) / kThreads; }
  int64_t Blocks() const { return rows * ((hidden + kChunk * kThreads - 1) / (kChunk * kThreads)); }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& /*shared*/) const {
    const int64_t row = block / BlocksPerRow();
    const int first = static_cast<int>(block % BlocksPerRow()) * kThreads;
    const T* gates = input + row * 2 * hidden;
    for (int c = first + team.rank(); c < Chunks(hidden) && c < first + kThreads;
         c += team.size()) {
      const Chunk<T> gate = LoadChunk(gates, c, hidden);
      const Chunk<T> value = LoadChunk(gates + hidden, c, hidden);
      Chunk<T> chunk;
      for (int i = 0; i < kChunk; ++i) {
        const float a = ToFloat(gate.at[i]);
        const float silu = Stored<T>(a / (1.0F + expf(-a)));
        chunk.at[i] = FromFloat<T>(silu * ToFloat(value.at[i]));
      }
      StoreChunk(chunk, output + row * hidden, c, hidden);
    }
  }
};

}  // namespace ppx::lm::cuda
