// lib/codec/seanet.h: the convolutional encoder and decoder of Mimi (SEANet; Défossez et al.,
// arXiv 2210.13438, section 3.1), streamed and channel-last.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "codec/mimi_config.h"
#include "nn/slot_state.h"
#include "nn/streaming_conv.h"
#include "nn/weight_loader.h"

namespace ppx::codec {

// x + conv k1 (ELU (conv k3 (ELU (x)))).
class ResidualBlock {
 public:
  ResidualBlock(const SeanetConfig& config, int64_t channels, int index, const std::string& name,
                nn::WeightLoader& loader, nn::StateLayout& layout);
  at::Tensor Forward(const at::Tensor& x, nn::SlotState& state, const nn::SlotIds& slots) const;

  // What another implementation of Forward needs (codec/cuda); so below.
  const nn::StreamingConv& inner() const { return inner_; }
  const nn::StreamingConv& outer() const { return outer_; }

 private:
  nn::StreamingConv inner_;
  nn::StreamingConv outer_;
};

class SeanetEncoder {
 public:
  SeanetEncoder(const SeanetConfig& config, nn::WeightLoader& loader, nn::StateLayout& layout);
  // [n, T * hop, 1] f32 -> [n, T, dimension]
  at::Tensor Forward(const at::Tensor& pcm, nn::SlotState& state, const nn::SlotIds& slots) const;

  struct Stage {
    std::vector<ResidualBlock> blocks;
    nn::StreamingConv down;
  };
  int64_t hop_samples() const { return hop_samples_; }
  const nn::StreamingConv& first() const { return *first_; }
  const std::vector<Stage>& stages() const { return stages_; }
  const nn::StreamingConv& last() const { return *last_; }

 private:
  at::Tensor ForwardPart(const at::Tensor& pcm, nn::SlotState& state,
                         const nn::SlotIds& slots) const;

  int64_t hop_samples_;
  std::unique_ptr<nn::StreamingConv> first_;
  std::vector<Stage> stages_;
  std::unique_ptr<nn::StreamingConv> last_;
};

class SeanetDecoder {
 public:
  SeanetDecoder(const SeanetConfig& config, nn::WeightLoader& loader, nn::StateLayout& layout);
  // [n, T, dimension] f32 -> [n, T * hop, 1]
  at::Tensor Forward(const at::Tensor& latent, nn::SlotState& state,
                     const nn::SlotIds& slots) const;

  struct Stage {
    nn::StreamingTransposedConv up;
    std::vector<ResidualBlock> blocks;
  };
  const nn::StreamingConv& first() const { return *first_; }
  const std::vector<Stage>& stages() const { return stages_; }
  const nn::StreamingConv& last() const { return *last_; }

 private:
  at::Tensor ForwardPart(const at::Tensor& latent, nn::SlotState& state,
                         const nn::SlotIds& slots) const;

  std::unique_ptr<nn::StreamingConv> first_;
  std::vector<Stage> stages_;
  std::unique_ptr<nn::StreamingConv> last_;
};

}  // namespace ppx::codec
