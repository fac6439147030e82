// lib/nn/cuda/launch.cuh: a team's kernel as a GPU's; for nvcc alone.
#pragma once

#include <cooperative_groups.h>

#include <algorithm>
#include <type_traits>

#include "nn/cuda/launch.h"
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

// The phases from `begin` on; where there are several, the whole grid is on the GPU at once.
template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads)
    RunPhases(const __grid_constant__ Kernel kernel, int begin, int end) {
  __shared__ typename Kernel::Shared shared;
  const BlockTeam team;
  const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
  typename Kernel::Task task = kernel.At(begin);
  for (int phase = begin; phase < end; ++phase) {
    for (int64_t block = blockIdx.x; block < kernel.Blocks(phase); block += gridDim.x) {
      kernel.Run(team, task, block, shared);
      team.Sync();
    }
    if (phase + 1 == end) break;
    task = kernel.At(phase + 1);
    kernel.Prefetch(team, task, blockIdx.x, gridDim.x);
    grid.sync();
  }
}

// How many blocks of RunPhases the current device holds at once; 0 where they cannot wait for each
// other.
template <class Kernel>
cudaError_t Resident(int& blocks) {
  int device = 0;
  int waits = 0;
  int processors = 0;
  int of_processor = 0;
  cudaError_t status = cudaGetDevice(&device);
  if (status == cudaSuccess) {
    status = cudaDeviceGetAttribute(&waits, cudaDevAttrCooperativeLaunch, device);
  }
  if (status == cudaSuccess) {
    status = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  }
  if (status == cudaSuccess) {
    status = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_processor, RunPhases<Kernel>,
                                                           Kernel::kThreads, 0);
  }
  blocks = waits != 0 ? processors * of_processor : 0;
  return status;
}

template <class Kernel>
cudaError_t LaunchPhases(const Kernel& kernel, cudaStream_t stream) {
  int resident = 0;
  const cudaError_t status = Resident<Kernel>(resident);
  if (status != cudaSuccess) return status;
  if (resident == 0) {
    for (int phase = 0; phase < kernel.Phases(); ++phase) {
      RunPhases<<<static_cast<unsigned>(kernel.Blocks(phase)), Kernel::kThreads, 0, stream>>>(
          kernel, phase, phase + 1);
    }
    return cudaGetLastError();
  }
  Kernel argument = kernel;
  int begin = 0;
  int end = kernel.Phases();
  void* arguments[] = {&argument, &begin, &end};
  const auto grid = static_cast<unsigned>(std::min(resident, Kernel::kGrid));
  return cudaLaunchCooperativeKernel(RunPhases<Kernel>, dim3(grid), dim3(Kernel::kThreads),
                                     arguments, 0, stream);
}

template <class Kernel, class = void>
constexpr bool kHasPhases = false;
template <class Kernel>
constexpr bool kHasPhases<Kernel, std::void_t<typename Kernel::Task>> = true;

template <class Kernel>
cudaError_t Launch(const Kernel& kernel, cudaStream_t stream) {
  static_assert(Kernel::kThreads % 32 == 0 && Kernel::kThreads / BlockTeam::kLanes <= kMaxGroups);
  if constexpr (kHasPhases<Kernel>) {
    return LaunchPhases(kernel, stream);
  } else {
    Run<<<static_cast<unsigned>(kernel.Blocks()), Kernel::kThreads, 0, stream>>>(kernel);
    return cudaGetLastError();
  }
}

}  // namespace ppx::nn::cuda
