// lib/codec/mimi.h: Mimi, 24 kHz waveform <-> 12.5 frames of codes a second (arXiv 2410.00037,
// section 3.3). Streamed, batched over slots, float32 throughout.
//
//   encoder: SEANet -> transformer -> strided convolution -> split RVQ
//   decoder: split RVQ -> transposed convolution -> transformer -> SEANet
//
// Both are const after construction and may be shared by threads; each state belongs to one thread.
// A call may bring any number of whole frames: the result is that of one frame at a time. Where the
// loader packs weights, even the bits are, whatever the cuts, the other rows and the number of
// threads.
#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "codec/mimi_config.h"
#include "codec/seanet.h"
#include "codec/split_rvq.h"
#include "nn/debug_tap.h"
#include "nn/slot_state.h"
#include "nn/transformer.h"
#include "nn/weight_loader.h"

namespace ppx::codec {

class MimiEncoder {
 public:
  MimiEncoder(const MimiConfig& config, int levels, nn::WeightLoader& loader);

  nn::SlotState NewState(int slots) const { return {layout_, slots, device_}; }
  int64_t StateBytesPerSlot() const { return layout_.BytesPerSlot(); }

  // pcm: [n, 1, F * frame_samples] f32 on the codec's device -> [n, levels, F] int64.
  // Taps: "mimi.encoder_out" and "mimi.encoder_transformer_out" [n, d, F * steps_per_frame],
  // "mimi.latent" [n, d, F].
  at::Tensor Encode(const at::Tensor& pcm, nn::SlotState& state, const nn::SlotIds& slots,
                    const nn::DebugTap& tap = {}) const;

  // What another implementation of Encode needs (codec/cuda).
  at::Device device() const { return device_; }
  const SeanetEncoder& seanet() const { return seanet_; }
  const nn::Transformer& transformer() const { return transformer_; }
  const nn::StreamingConv* downsample() const { return downsample_.get(); }
  const SplitRvq& quantizer() const { return quantizer_; }

 private:
  at::Device device_;
  nn::StateLayout layout_;
  SeanetEncoder seanet_;
  nn::Transformer transformer_;
  std::unique_ptr<nn::StreamingConv> downsample_;  // null where SEANet runs at the frame rate
  SplitRvq quantizer_;
};

class MimiDecoder {
 public:
  MimiDecoder(const MimiConfig& config, int levels, nn::WeightLoader& loader);

  nn::SlotState NewState(int slots) const { return {layout_, slots, device_}; }
  int64_t StateBytesPerSlot() const { return layout_.BytesPerSlot(); }

  // codes: [n, levels, F] int64 -> [n, 1, F * frame_samples] f32.
  at::Tensor Decode(const at::Tensor& codes, nn::SlotState& state, const nn::SlotIds& slots) const;

  // What another implementation of Decode needs (codec/cuda).
  at::Device device() const { return device_; }
  const SplitRvq& quantizer() const { return quantizer_; }
  const nn::StreamingTransposedConv* upsample() const { return upsample_.get(); }
  const nn::Transformer& transformer() const { return transformer_; }
  const SeanetDecoder& seanet() const { return seanet_; }

 private:
  at::Device device_;
  nn::StateLayout layout_;
  SplitRvq quantizer_;
  std::unique_ptr<nn::StreamingTransposedConv> upsample_;
  nn::Transformer transformer_;
  SeanetDecoder seanet_;
};

}  // namespace ppx::codec
