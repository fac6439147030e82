// lib/codec/cuda/depthwise.cuh: a transposed convolution of which each channel has a kernel of its
// own (nn::StreamingTransposedConv).
#pragma once

#include "codec/cuda/kernel.cuh"

namespace ppx::codec::cuda {

struct DepthwiseKernel {
  const float* windows;  // [steps, reach, channels], of all rows
  const float* weight;   // [reach, stride, channels]
  const float* bias;     // [channels], or null
  float* output;         // [steps, stride, channels]
  int64_t steps;
  int reach;
  int stride;
  int channels;

  static constexpr int kThreads = 256;
  struct Shared {};

  int64_t Blocks() const { return BlocksOf(steps * stride * channels, kThreads); }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& /*shared*/) const {
    const int64_t first = block * kThreads;
    const int of_step = stride * channels;
    for (int i = team.rank(); i < kThreads && first + i < steps * of_step; i += team.size()) {
      const int64_t step = (first + i) / of_step;
      const auto place = static_cast<int>((first + i) % of_step);
      const int channel = place % channels;
      float sum = 0;
      for (int tap = 0; tap < reach; ++tap) {
        sum += windows[(step * reach + tap) * channels + channel] *
               weight[int64_t{tap} * of_step + place];
      }
      output[first + i] = bias == nullptr ? sum : sum + bias[channel];
    }
  }
};

}  // namespace ppx::codec::cuda
