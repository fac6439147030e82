// lib/nn/cuda/launch.h: a kernel of team.cuh on a GPU.
#pragma once

#include <cuda_runtime_api.h>

namespace ppx::nn::cuda {

// Queues `kernel`, one that a launch.cu names, on the stream. Returns the launch's error.
template <class Kernel>
cudaError_t Launch(const Kernel& kernel, cudaStream_t stream);

}  // namespace ppx::nn::cuda
