#include "lm/cuda/launch.cuh"

#include "lm/cuda/attend.cuh"
#include "lm/cuda/embed.cuh"
#include "lm/cuda/gate.cuh"
#include "lm/cuda/norm.cuh"
#include "lm/cuda/sample.cuh"
#include "nn/cuda/launch.cuh"

namespace ppx::lm::cuda {
template <class Kernel>
cudaError_t Launch(const Kernel& kernel, cudaStream_t stream) {
  return nn::cuda::LaunchBlocks(kernel, stream);
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

}  // namespace ppx::lm::cuda
