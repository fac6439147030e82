// lib/codec/cuda/gelu.cuh: the activation of the MLP.
#pragma once

#include <cmath>

#include "codec/cuda/kernel.cuh"

namespace ppx::codec::cuda {

// In place, as nn::Gelu: x times the normal distribution's function at x.
struct GeluKernel {
  float* x;  // [count]
  int64_t count;

  static constexpr int kThreads = 256;
  struct Shared {};

  int64_t Blocks() const { return BlocksOf(count, kThreads); }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& /*shared*/) const {
    constexpr float kSqrtHalf = 0.70710678F;
    const int64_t first = block * kThreads;
    for (int i = team.rank(); i < kThreads && first + i < count; i += team.size()) {
      const float value = x[first + i];
      x[first + i] = value * 0.5F * (1.0F + erff(value * kSqrtHalf));
    }
  }
};

}  // namespace ppx::codec::cuda
