// The kernels of the codec's frames on a GPU.
#include "codec/cuda/attend_block.cuh"
#include "codec/cuda/centroids.cuh"
#include "codec/cuda/depthwise.cuh"
#include "codec/cuda/gelu.cuh"
#include "codec/cuda/keep.cuh"
#include "codec/cuda/layer_norm.cuh"
#include "codec/cuda/nearest.cuh"
#include "codec/cuda/windows.cuh"
#include "nn/cuda/launch.cuh"

namespace ppx {

template cudaError_t nn::cuda::Launch(const codec::cuda::AttendBlockKernel&, cudaStream_t);
template cudaError_t nn::cuda::Launch(const codec::cuda::CentroidsKernel&, cudaStream_t);
template cudaError_t nn::cuda::Launch(const codec::cuda::DepthwiseKernel&, cudaStream_t);
template cudaError_t nn::cuda::Launch(const codec::cuda::GeluKernel&, cudaStream_t);
template cudaError_t nn::cuda::Launch(const codec::cuda::KeepKernel&, cudaStream_t);
template cudaError_t nn::cuda::Launch(const codec::cuda::LayerNormKernel&, cudaStream_t);
template cudaError_t nn::cuda::Launch(const codec::cuda::NearestKernel&, cudaStream_t);
template cudaError_t nn::cuda::Launch(const codec::cuda::WindowsKernel&, cudaStream_t);

}  // namespace ppx
