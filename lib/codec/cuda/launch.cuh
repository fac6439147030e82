// lib/codec/cuda/launch.cuh: the kernels of the codec on a GPU.
#pragma once

#include <cuda_runtime_api.h>

namespace ppx::codec::cuda {

// Queues `kernel`, one of this folder's, on the stream. Returns the launch's error.
template <class Kernel>
cudaError_t Launch(const Kernel& kernel, cudaStream_t stream);

}  // namespace ppx::codec::cuda
