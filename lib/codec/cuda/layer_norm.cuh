// lib/codec/cuda/layer_norm.cuh: what a branch of a layer gave is scaled and added to the residual
// stream, and the sum is normalised for the next one.
#pragma once

#include <cmath>

#include "codec/cuda/kernel.cuh"

namespace ppx::codec::cuda {

// x += branch * scale; output = LayerNorm(x) (Ba et al., arXiv 1607.06450).
struct LayerNormKernel {
  float* x;             // [rows, dim]
  const float* branch;  // [rows, dim], or null: nothing is added
  const float* scale;   // [dim], or null: 1
  const float* weight;  // [dim]
  const float* bias;    // [dim]
  float* output;        // [rows, dim], or null: the sum is all
  int rows;
  int dim;
  float eps;

  static constexpr int kThreads = 256;
  struct Shared {
    float partial[kMaxGroups][1];
  };

  int64_t Blocks() const { return rows; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t row, Shared& shared) const {
    float* row_x = x + row * dim;
    float sum[1] = {0};
    for (int i = team.rank(); i < dim; i += team.size()) {
      if (branch != nullptr) {
        const float added = branch[row * dim + i];
        row_x[i] += scale == nullptr ? added : added * scale[i];
      }
      sum[0] += row_x[i];
    }
    if (output == nullptr) return;
    BlockSum(team, sum, shared.partial);
    const float mean = sum[0] / static_cast<float>(dim);
    // Each thread reads back the numbers that it wrote itself.
    float squares[1] = {0};
    for (int i = team.rank(); i < dim; i += team.size()) {
      squares[0] += (row_x[i] - mean) * (row_x[i] - mean);
    }
    BlockSum(team, squares, shared.partial);
    const float inverse = 1.0F / sqrtf(squares[0] / static_cast<float>(dim) + eps);
    for (int i = team.rank(); i < dim; i += team.size()) {
      output[row * dim + i] = (row_x[i] - mean) * inverse * weight[i] + bias[i];
    }
  }
};

}  // namespace ppx::codec::cuda
