// The seam between LibTorch's tensors and the CUDA kernel of ring attention.
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "base/error.h"
#include "nn/cuda/ring_attention.cuh"
#include "nn/ring_attention.h"

namespace ppx::nn {

bool HasRingAttentionCuda() { return true; }

at::Tensor RingAttentionCuda(const RingAttentionSpec& spec, const at::Tensor& qkv, at::Tensor& keys,
                             at::Tensor& values, const SlotIds& slots,
                             const std::vector<int64_t>& offsets,
                             const at::Tensor& inverse_frequencies) {
  const bool known_type = qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kBFloat16;
  if (!known_type || spec.head_dim > cuda::kWidestHead || spec.head_dim % 2 != 0) {
    return RingAttentionPlain(spec, qkv, keys, values, slots, offsets, inverse_frequencies);
  }
  CheckRingFits(spec, qkv.size(1), slots, offsets);
  const c10::cuda::CUDAGuard guard(qkv.device());
  const at::Tensor packed = qkv.contiguous();
  at::Tensor output =
      at::empty({qkv.size(0), qkv.size(1), int64_t{spec.num_heads} * spec.head_dim}, qkv.options());
  const std::vector<int64_t> wide_slots(slots.begin(), slots.end());
  // One small copy: slots, then offsets.
  const at::Tensor rows =
      at::stack({at::tensor(wide_slots, at::kLong), at::tensor(offsets, at::kLong)})
          .to(qkv.device());
  const int64_t* row_data = rows.const_data_ptr<int64_t>();
  const cudaError_t status = cuda::LaunchRingAttention(
      {.qkv = packed.const_data_ptr(),
       .keys = keys.data_ptr(),
       .values = values.data_ptr(),
       .output = output.data_ptr(),
       .slots = row_data,
       .offsets = row_data + qkv.size(0),
       .inverse_frequencies =
           inverse_frequencies.defined() ? inverse_frequencies.const_data_ptr<float>() : nullptr,
       .rows = qkv.size(0),
       .steps = qkv.size(1),
       .heads = spec.num_heads,
       .dim = spec.head_dim,
       .capacity = spec.capacity,
       .context = spec.context,
       .block = spec.block,
       .mask_next_slot = spec.rule == RingRule::kMaskNextSlot,
       .bf16 = qkv.scalar_type() == at::kBFloat16},
      c10::cuda::getCurrentCUDAStream(qkv.device().index()));
  if (status != cudaSuccess) {
    base::ThrowResource(std::string("ring attention on the GPU: ") + cudaGetErrorString(status));
  }
  return output;
}

}  // namespace ppx::nn
