// lib/lm/cuda/launch.cuh: the kernels of the language model's step on a GPU.
#pragma once

#include <cuda_runtime_api.h>

namespace ppx::lm::cuda {

// Queues `kernel`, one of this folder's of float or Bf16, on the stream. Returns the launch's
// error.
template <class Kernel>
cudaError_t Launch(const Kernel& kernel, cudaStream_t stream);

}  // namespace ppx::lm::cuda
