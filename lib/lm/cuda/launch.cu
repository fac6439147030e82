// The kernels of the language model's step on a GPU.
#include "lm/cuda/attend.cuh"
#include "lm/cuda/depth.cuh"
#include "lm/cuda/dequantise.cuh"
#include "lm/cuda/embed.cuh"
#include "lm/cuda/gate.cuh"
#include "lm/cuda/norm.cuh"
#include "lm/cuda/row_product.cuh"
#include "lm/cuda/sample.cuh"
#include "nn/cuda/launch.cuh"

namespace ppx {

using nn::cuda::Bf16;

#define PPX_LAUNCH(Kernel, ...) \
  template cudaError_t nn::cuda::Launch(const lm::cuda::Kernel<__VA_ARGS__>&, cudaStream_t)
#define PPX_LAUNCH_TYPES(Kernel) \
  PPX_LAUNCH(Kernel, float);     \
  PPX_LAUNCH(Kernel, Bf16)
PPX_LAUNCH_TYPES(EmbedKernel);
PPX_LAUNCH_TYPES(NormKernel);
PPX_LAUNCH_TYPES(AttendKernel);
PPX_LAUNCH_TYPES(CombineKernel);
PPX_LAUNCH_TYPES(GateKernel);
PPX_LAUNCH_TYPES(SampleKernel);
PPX_LAUNCH_TYPES(DequantiseKernel);

#define PPX_LAUNCH_ROWS(T, W, kRows)         \
  PPX_LAUNCH(RowProductKernel, T, W, kRows); \
  PPX_LAUNCH(DepthKernel, T, W, kRows)
#define PPX_LAUNCH_FEW_ROWS(T, W) \
  PPX_LAUNCH_ROWS(T, W, 1);       \
  PPX_LAUNCH_ROWS(T, W, 2);       \
  PPX_LAUNCH_ROWS(T, W, 4);       \
  PPX_LAUNCH_ROWS(T, W, lm::cuda::kMostRows)
PPX_LAUNCH_FEW_ROWS(Bf16, Bf16);
PPX_LAUNCH_FEW_ROWS(Bf16, int8_t);
PPX_LAUNCH_ROWS(float, float, lm::cuda::kMostRows);
PPX_LAUNCH_ROWS(float, int8_t, lm::cuda::kMostRows);

}  // namespace ppx
