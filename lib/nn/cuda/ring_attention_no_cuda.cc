// Stands in for the CUDA kernel in builds without nvcc: CUDA devices then run the plain path.
#include "nn/ring_attention.h"

namespace ppx::nn {

bool HasRingAttentionCuda() { return false; }

at::Tensor RingAttentionCuda(const RingAttentionSpec& spec, const at::Tensor& qkv,
                             const Rings& rings, const SlotIds& slots,
                             const std::vector<int64_t>& offsets,
                             const at::Tensor& inverse_frequencies) {
  return RingAttentionPlain(spec, qkv, rings, slots, offsets, inverse_frequencies);
}

}  // namespace ppx::nn
