// lib/codec/cuda/centroids.cuh: codes -> the sum of their centroids, of one part of the quantiser.
#pragma once

#include "codec/cuda/kernel.cuh"

namespace ppx::codec::cuda {

struct CentroidsKernel {
  const float* const* codebooks;  // [levels] of [bins, dim]
  const int32_t* codes;           // row r's at codes[r * stride]; each within its codebook
  float* output;                  // [rows, dim]
  int stride;
  int rows;
  int levels;
  int dim;

  static constexpr int kThreads = 128;
  struct Shared {};

  int64_t Blocks() const { return rows; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t row, Shared& /*shared*/) const {
    for (int i = team.rank(); i < dim; i += team.size()) {
      float sum = 0;
      for (int level = 0; level < levels; ++level) {
        sum += codebooks[level][int64_t{codes[row * stride + level]} * dim + i];
      }
      output[row * dim + i] = sum;
    }
  }
};

}  // namespace ppx::codec::cuda
