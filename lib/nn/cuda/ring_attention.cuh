// lib/nn/cuda/ring_attention.cuh: the CUDA kernel of ring attention, on raw pointers: no LibTorch,
// so that nvcc never sees its headers.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace ppx::nn::cuda {

struct RingAttentionArguments {
  const void* qkv;                   // [rows, steps, 3, heads, dim]
  void* keys;                        // of each slot [heads, capacity, dim], one behind the other
  void* values;                      // as keys
  void* output;                      // [rows, steps, heads, dim]
  const int64_t* offsets;            // [rows]
  const int64_t* firsts;             // [rows]: steps of the rings before the row's
  const int64_t* capacities;         // [rows]: steps of the row's ring; 0 is padding
  const float* inverse_frequencies;  // [dim / 2], or null
  int64_t rows;
  int64_t steps;
  int heads;
  int dim;
  int context;
  int block;
  bool mask_next_slot;
  bool bf16;  // else float32

  static constexpr int kWidestHead = 256;  // wider ones have no kernel
};

// One thread block for each (row, head). Returns the launch's error.
cudaError_t LaunchRingAttention(const RingAttentionArguments& arguments, cudaStream_t stream);

}  // namespace ppx::nn::cuda
