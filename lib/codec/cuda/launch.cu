#include "codec/cuda/launch.cuh"

#include "codec/cuda/attend_block.cuh"
#include "codec/cuda/centroids.cuh"
#include "codec/cuda/depthwise.cuh"
#include "codec/cuda/gelu.cuh"
#include "codec/cuda/keep.cuh"
#include "codec/cuda/layer_norm.cuh"
#include "codec/cuda/nearest.cuh"
#include "codec/cuda/windows.cuh"
#include "nn/cuda/launch.cuh"

namespace ppx::codec::cuda {

template <class Kernel>
cudaError_t Launch(const Kernel& kernel, cudaStream_t stream) {
  return nn::cuda::LaunchBlocks(kernel, stream);
}

template cudaError_t Launch(const AttendBlockKernel&, cudaStream_t);
template cudaError_t Launch(const CentroidsKernel&, cudaStream_t);
template cudaError_t Launch(const DepthwiseKernel&, cudaStream_t);
template cudaError_t Launch(const GeluKernel&, cudaStream_t);
template cudaError_t Launch(const KeepKernel&, cudaStream_t);
template cudaError_t Launch(const LayerNormKernel&, cudaStream_t);
template cudaError_t Launch(const NearestKernel&, cudaStream_t);
template cudaError_t Launch(const WindowsKernel&, cudaStream_t);

}  // namespace ppx::codec::cuda
