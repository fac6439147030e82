// lib/nn/cuda/launch.cuh: a team's kernel as a GPU's; for nvcc alone.
#pragma once

#include <cuda_runtime_api.h>

#include <type_traits>

#include "nn/cuda/team.cuh"

namespace ppx::nn::cuda {

// The threads of a block. Two groups share a warp, and their loops may differ in length, so a sum
// names its own half of the warp.
struct BlockTeam {
  static constexpr int kLanes = 16;

  __device__ int rank() const { return static_cast<int>(threadIdx.x); }
  __device__ int size() const { return static_cast<int>(blockDim.x); }
  __device__ int lane() const { return rank() % kLanes; }
  __device__ int group() const { return rank() / kLanes; }
  __device__ int groups() const { return size() / kLanes; }
  __device__ void Sync() const { __syncthreads(); }
  __device__ void SyncLanes() const { __syncwarp(Half()); }
  template <class Number>
  __device__ Number LaneSum(Number x) const {
    for (int step = kLanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(Half(), x, step);
    return x;
  }

 private:
  __device__ static unsigned Half() {
    return (threadIdx.x & kLanes) == 0 ? 0x0000ffffU : 0xffff0000U;
  }
};

// Blocks that a multiprocessor must have room for, where a kernel says so: what a thread may use
// follows from it.
template <class Kernel, class = void>
constexpr int kMinBlocks = 1;
template <class Kernel>
constexpr int kMinBlocks<Kernel, std::void_t<decltype(Kernel::kMinBlocks)>> = Kernel::kMinBlocks;

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, kMinBlocks<Kernel>)
    Run(const __grid_constant__ Kernel kernel) {
  __shared__ typename Kernel::Shared shared;
  kernel(BlockTeam{}, blockIdx.x, shared);
}

// Queues the kernel on the stream. Returns the launch's error.
template <class Kernel>
cudaError_t LaunchBlocks(const Kernel& kernel, cudaStream_t stream) {
  static_assert(Kernel::kThreads % 32 == 0 && Kernel::kThreads / BlockTeam::kLanes <= kMaxGroups);
  Run<<<static_cast<unsigned>(kernel.Blocks()), Kernel::kThreads, 0, stream>>>(kernel);
  return cudaGetLastError();
}

}  // namespace ppx::nn::cuda
