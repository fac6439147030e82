// The seam between LibTorch's tensors and the CUDA kernel of ring attention.
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "base/error.h"
#include "nn/cuda/ring_attention.cuh"
#include "nn/ring_attention.h"

namespace ppx::nn {

bool HasRingAttentionCuda() { return true; }

at::Tensor RingAttentionCuda(const RingAttentionSpec& spec, const at::Tensor& qkv,
                             const Rings& rings, const SlotIds& slots,
                             const std::vector<int64_t>& offsets,
                             const at::Tensor& inverse_frequencies) {
  const bool known_type = qkv.scalar_type() == at::kFloat || qkv.scalar_type() == at::kBFloat16;
  if (!known_type || spec.head_dim > cuda::RingAttentionArguments::kWidestHead ||
      spec.head_dim % 2 != 0) {
    return RingAttentionPlain(spec, qkv, rings, slots, offsets, inverse_frequencies);
  }
  CheckRingFits(spec, qkv.size(1), rings.places, slots, offsets);
  const c10::cuda::CUDAGuard guard(qkv.device());
  const at::Tensor packed = qkv.contiguous();
  at::Tensor output =
      at::empty({qkv.size(0), qkv.size(1), int64_t{spec.num_heads} * spec.head_dim}, qkv.options());
  // One small copy of what the kernel asks of each row.
  const int64_t count = qkv.size(0);
  const at::Tensor host = at::zeros({3, count}, at::kLong);
  auto facts = host.accessor<int64_t, 2>();
  for (int64_t row = 0; row < count; ++row) {
    const int slot = slots[static_cast<size_t>(row)];
    if (slot == kPadding) continue;
    const RingPlace& place = rings.places[static_cast<size_t>(slot)];
    facts[0][row] = offsets[static_cast<size_t>(row)];
    facts[1][row] = place.first;
    facts[2][row] = place.capacity;
  }
  const at::Tensor rows = host.to(qkv.device());
  const int64_t* row_data = rows.const_data_ptr<int64_t>();
  const cudaError_t status = cuda::LaunchRingAttention(
      {.qkv = packed.const_data_ptr(),
       .keys = rings.keys.data_ptr(),
       .values = rings.values.data_ptr(),
       .output = output.data_ptr(),
       .offsets = row_data,
       .firsts = row_data + count,
       .capacities = row_data + 2 * count,
       .inverse_frequencies =
           inverse_frequencies.defined() ? inverse_frequencies.const_data_ptr<float>() : nullptr,
       .rows = count,
       .steps = qkv.size(1),
       .heads = spec.num_heads,
       .dim = spec.head_dim,
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
