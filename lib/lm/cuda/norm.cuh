// lib/lm/cuda/norm.cuh: what a branch of a layer gave is added to the residual stream, and the sum
// is normalised for the next one.
#pragma once

#include <cmath>

#include "lm/cuda/kernel.cuh"

namespace ppx::lm::cuda {

// x += branch; output = RMSNorm(x), as nn::RmsNorm computes it.
template <class T>
struct NormKernel {
  T* x;                        // [rows, dim]
  const T* branch;             // [.., dim], or null: nothing is added
  const int32_t* branch_rows;  // row r adds row branch_rows[r * branch_stride] of `branch`, nothing
  int branch_stride;           // where that is negative; null: row r
  const float* alpha;          // [dim]
  T* output;                   // [rows, dim]
  int rows;
  int dim;
  float eps;

  static constexpr int kThreads = 512;
  struct Shared {
    float partial[kMaxGroups][1];
  };

  int64_t Blocks() const { return rows; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t row, Shared& shared) const {
    const int64_t from = branch_rows == nullptr ? row : branch_rows[row * branch_stride];
    const bool adds = branch != nullptr && from >= 0;
    T* row_x = x + row * dim;
    float squares[1] = {0};
    for (int c = team.rank(); c < Chunks(dim); c += team.size()) {
      Chunk<T> chunk = LoadChunk(row_x, c, dim);
      if (adds) {
        const Chunk<T> added = LoadChunk(branch + from * dim, c, dim);
        for (int i = 0; i < kChunk; ++i) {
          chunk.at[i] = FromFloat<T>(ToFloat(chunk.at[i]) + ToFloat(added.at[i]));
        }
        StoreChunk(chunk, row_x, c, dim);
      }
      for (int i = 0; i < kChunk; ++i) squares[0] += ToFloat(chunk.at[i]) * ToFloat(chunk.at[i]);
    }
    BlockSum(team, squares, shared.partial);
    const float inverse = 1.0F / sqrtf(squares[0] / static_cast<float>(dim) + eps);
    // Each thread reads back the chunks that it wrote itself.
    for (int c = team.rank(); c < Chunks(dim); c += team.size()) {
      Chunk<T> chunk = LoadChunk(row_x, c, dim);
      const Chunk<float> scale = LoadChunk(alpha, c, dim);
      for (int i = 0; i < kChunk; ++i) {
        chunk.at[i] = FromFloat<T>(ToFloat(chunk.at[i]) * (scale.at[i] * inverse));
      }
      StoreChunk(chunk, output + row * dim, c, dim);
    }
  }
};

}  // namespace ppx::lm::cuda
