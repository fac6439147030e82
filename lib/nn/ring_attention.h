// lib/nn/ring_attention.h: attention over a ring of keys and values, one ring a slot.
//
// One rule for stepping, prefill and the codec. A *block* is what one streaming call appends: one
// step for the language model, one frame (two steps at 25 Hz) for the codec. However many steps a
// call here is given, the result is that of appending and attending block by block.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "nn/linear.h"
#include "nn/slot_state.h"

namespace ppx::nn {

// Which keys a query at position q sees, C being the context and e the last position of its block.
enum class RingRule {
  kMaskNextSlot,  // max(0, e-C+2) .. q: the slot that the next step would overwrite is masked
  kFull           // max(0, q-C+1) .. q
};

struct RingAttentionSpec {
  int num_heads = 1;
  int head_dim = 0;
  int context = 0;   // C above, in steps
  int capacity = 0;  // of a ring for a dialogue of any length: at least `context`
  int block = 1;     // steps of one streaming call
  RingRule rule = RingRule::kMaskNextSlot;
  double rope_max_period = 0;  // 0: no positional embedding
};

// Rotary embedding with interleaved pairs (Su et al., arXiv 2104.09864), in float32.
// `inverse_frequencies`: [head_dim / 2] f32, max_period^(-2i/head_dim).
at::Tensor RopeInverseFrequencies(int head_dim, double max_period);

// The keys and values of all slots, where they lie: of slot s the rings [H, capacity, D] of its
// place, from step `first` on. [H * steps of all slots, D] as nn/slot_state.h keeps them, or
// [slots, H, capacity, D] where all have one length; contiguous. Owns no place.
struct Rings {
  at::Tensor keys;
  at::Tensor values;
  std::span<const RingPlace> places;  // one a slot
};

// Appends the keys and values of `qkv` and attends.
//   qkv      [n, T, 3, H, D], the packed projection of n rows; f32 or bf16
//   rings    of the same dtype. One of spec.capacity steps wraps; a shorter one must hold its
//            dialogue. What a row gets does not depend on which it is
//   slots    the slot of each row
//   offsets  the position of each row's first step (steps appended to that slot before)
//   inverse_frequencies  [D/2] f32, or undefined without positional embedding
//   returns  [n, T, H*D]
// `RingAttention` takes the fast kernel where there is one for the device, `RingAttentionPlain` is
// written with tensor operations only, runs on any device, and is what the fast ones are checked
// against. Throw base::Error (kInternal) where a dialogue would outgrow its ring.
at::Tensor RingAttention(const RingAttentionSpec& spec, const at::Tensor& qkv, const Rings& rings,
                         const SlotIds& slots, const std::vector<int64_t>& offsets,
                         const at::Tensor& inverse_frequencies);
at::Tensor RingAttentionPlain(const RingAttentionSpec& spec, const at::Tensor& qkv,
                              const Rings& rings, const SlotIds& slots,
                              const std::vector<int64_t>& offsets,
                              const at::Tensor& inverse_frequencies);
at::Tensor RingAttentionCuda(const RingAttentionSpec& spec, const at::Tensor& qkv,
                             const Rings& rings, const SlotIds& slots,
                             const std::vector<int64_t>& offsets,
                             const at::Tensor& inverse_frequencies);
at::Tensor RingAttentionCpu(const RingAttentionSpec& spec, const at::Tensor& qkv,
                            const Rings& rings, const SlotIds& slots,
                            const std::vector<int64_t>& offsets,
                            const at::Tensor& inverse_frequencies);

// RingAttention of qkv = in_proj(x), x [n, T, inputs] -> [n, T, H*D]. On the CPU, with packed
// weights and many rows, `ProjectAndAttendCpu` reads keys and values while it multiplies: the same
// bits.
at::Tensor ProjectAndAttend(const RingAttentionSpec& spec, const Linear& in_proj,
                            const at::Tensor& x, const Rings& rings, const SlotIds& slots,
                            const std::vector<int64_t>& offsets,
                            const at::Tensor& inverse_frequencies);
// Takes packed weights and heads of a multiple of BandWork::kWidthUnit alone.
at::Tensor ProjectAndAttendCpu(const RingAttentionSpec& spec, const Linear& in_proj,
                               const at::Tensor& x, const Rings& rings, const SlotIds& slots,
                               const std::vector<int64_t>& offsets,
                               const at::Tensor& inverse_frequencies);
// Whether `ProjectAndAttend` takes that one here.
bool AttendsBesideProjection(const RingAttentionSpec& spec, const Linear& in_proj,
                             const at::Tensor& x);

// True where the CUDA kernel is part of this build. Without it CUDA devices run the plain path.
bool HasRingAttentionCuda();

// Whether a kernel gives what the plain path gives, to the type's precision, on small examples: in
// f32 and bf16, heads of 64 and 128, both rules, blocks of 1 and 2, a ring that wraps and one that
// does not.
using RingAttentionKernel = decltype(&RingAttentionPlain);
bool AgreesWithPlain(RingAttentionKernel kernel, at::Device device);

// The same of the device's kernel, once for each device. One that fails is not used by this process
// from then on. True where they agree (or there is no kernel).
bool CheckRingAttentionCuda(at::Device device);

// Throws kInternal where a dialogue would outgrow a ring that is too short to wrap.
void CheckRingFits(const RingAttentionSpec& spec, int64_t steps, std::span<const RingPlace> places,
                   const SlotIds& slots, const std::vector<int64_t>& offsets);

}  // namespace ppx::nn
