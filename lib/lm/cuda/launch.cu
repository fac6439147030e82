#include "lm/cuda/launch.cuh"

#include <cooperative_groups.h>

#include <algorithm>

#include "lm/cuda/attend.cuh"
#include "lm/cuda/depth.cuh"
#include "lm/cuda/dequantise.cuh"
#include "lm/cuda/embed.cuh"
#include "lm/cuda/gate.cuh"
#include "lm/cuda/norm.cuh"
#include "lm/cuda/row_product.cuh"
#include "lm/cuda/sample.cuh"
#include "nn/cuda/launch.cuh"

namespace ppx::lm::cuda {
namespace {

using nn::cuda::BlockTeam;

template <class Kernel>
constexpr bool kHasPhases = false;
template <class T, class W, int kRows>
constexpr bool kHasPhases<DepthKernel<T, W, kRows>> = true;

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

}  // namespace

template <class Kernel>
cudaError_t Launch(const Kernel& kernel, cudaStream_t stream) {
  if constexpr (kHasPhases<Kernel>) {
    return LaunchPhases(kernel, stream);
  } else {
    return nn::cuda::LaunchBlocks(kernel, stream);
  }
}

template cudaError_t Launch(const EmbedKernel<float>&, cudaStream_t);
template cudaError_t Launch(const EmbedKernel<Bf16>&, cudaStream_t);
template cudaError_t Launch(const NormKernel<float>&, cudaStream_t);
template cudaError_t Launch(const NormKernel<Bf16>&, cudaStream_t);
template cudaError_t Launch(const AttendKernel<float>&, cudaStream_t);
template cudaError_t Launch(const AttendKernel<Bf16>&, cudaStream_t);
template cudaError_t Launch(const CombineKernel<float>&, cudaStream_t);
template cudaError_t Launch(const CombineKernel<Bf16>&, cudaStream_t);
template cudaError_t Launch(const GateKernel<float>&, cudaStream_t);
template cudaError_t Launch(const GateKernel<Bf16>&, cudaStream_t);
template cudaError_t Launch(const SampleKernel<float>&, cudaStream_t);
template cudaError_t Launch(const SampleKernel<Bf16>&, cudaStream_t);
template cudaError_t Launch(const DequantiseKernel<float>&, cudaStream_t);
template cudaError_t Launch(const DequantiseKernel<Bf16>&, cudaStream_t);

#define PPX_LAUNCH_ROWS(T, W, kRows)                                               \
  template cudaError_t Launch(const RowProductKernel<T, W, kRows>&, cudaStream_t); \
  template cudaError_t Launch(const DepthKernel<T, W, kRows>&, cudaStream_t)
#define PPX_LAUNCH_FEW_ROWS(T, W) \
  PPX_LAUNCH_ROWS(T, W, 1);       \
  PPX_LAUNCH_ROWS(T, W, 2);       \
  PPX_LAUNCH_ROWS(T, W, 4);       \
  PPX_LAUNCH_ROWS(T, W, kMostRows)
PPX_LAUNCH_FEW_ROWS(Bf16, Bf16);
PPX_LAUNCH_FEW_ROWS(Bf16, int8_t);
PPX_LAUNCH_ROWS(float, float, kMostRows);
PPX_LAUNCH_ROWS(float, int8_t, kMostRows);

}  // namespace ppx::lm::cuda
