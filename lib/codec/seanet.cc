#include "codec/seanet.h"

#include <fmt/format.h>

#include <utility>

namespace ppx::codec {
namespace {

int64_t Dilation(const SeanetConfig& config, int index) {
  int64_t dilation = 1;
  for (int i = 0; i < index; ++i) dilation *= config.dilation_base;
  return dilation;
}

// The stored index counts every module of the network, activations included.
std::string ConvName(const char* side, int index) {
  return fmt::format("{}.model.{}.conv.conv", side, index);
}

// Calls pass(x, slots) for parts of x, [n, T * unit, channels], and puts the results together. Next
// to the waveform a step's values are hundreds of kilobytes: on the CPU, parts of this many steps
// stay in the caches and in memory that the allocator has at hand, and still share the weights.
template <typename Pass>
at::Tensor InParts(const at::Tensor& x, int64_t unit, const nn::SlotIds& slots, const Pass& pass) {
  constexpr int64_t kSteps = 16;
  const int64_t rows = x.size(0);
  const int64_t steps = x.size(1) / unit;
  if (rows * steps <= kSteps || !x.is_cpu()) return pass(x, slots);
  const int64_t cuts = (steps + kSteps - 1) / kSteps;
  const int64_t groups = (rows * steps + kSteps * cuts - 1) / (kSteps * cuts);
  std::vector<at::Tensor> of_groups;
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t row = rows * group / groups;
    const int64_t row_end = rows * (group + 1) / groups;
    const nn::SlotIds of_rows(slots.begin() + row, slots.begin() + row_end);
    std::vector<at::Tensor> pieces;
    for (int64_t cut = 0; cut < cuts; ++cut) {
      const int64_t step = steps * cut / cuts;
      const int64_t step_end = steps * (cut + 1) / cuts;
      pieces.push_back(
          pass(x.narrow(0, row, row_end - row).narrow(1, step * unit, (step_end - step) * unit),
               of_rows));
    }
    of_groups.push_back(at::cat(pieces, 1));
  }
  return at::cat(of_groups, 0);
}

}  // namespace

ResidualBlock::ResidualBlock(const SeanetConfig& config, int64_t channels, int index,
                             const std::string& name, nn::WeightLoader& loader,
                             nn::StateLayout& layout)
    : inner_({.in_channels = channels,
              .out_channels = channels / config.compress,
              .kernel = config.residual_kernel_size,
              .dilation = Dilation(config, index),
              .elu = true},
             name + ".block.1.conv.conv", loader, layout),
      outer_({.in_channels = channels / config.compress, .out_channels = channels, .elu = true},
             name + ".block.3.conv.conv", loader, layout) {}

at::Tensor ResidualBlock::Forward(const at::Tensor& x, nn::SlotState& state,
                                  const nn::SlotIds& slots) const {
  return outer_.Forward(inner_.Forward(x, state, slots), state, slots).add_(x);
}

SeanetEncoder::SeanetEncoder(const SeanetConfig& config, nn::WeightLoader& loader,
                             nn::StateLayout& layout)
    : hop_samples_(config.hop_samples()) {
  int64_t channels = config.n_filters;
  int index = 0;
  first_ = std::make_unique<nn::StreamingConv>(
      nn::ConvSpec{
          .in_channels = config.channels, .out_channels = channels, .kernel = config.kernel_size},
      ConvName("encoder", index++), loader, layout);
  for (auto ratio = config.ratios.rbegin(); ratio != config.ratios.rend(); ++ratio) {
    std::vector<ResidualBlock> blocks;
    for (int j = 0; j < config.n_residual_layers; ++j) {
      blocks.emplace_back(config, channels, j, fmt::format("encoder.model.{}", index++), loader,
                          layout);
    }
    ++index;  // ELU
    stages_.push_back(
        {std::move(blocks), nn::StreamingConv({.in_channels = channels,
                                               .out_channels = 2 * channels,
                                               .kernel = int64_t{2} * *ratio,
                                               .stride = *ratio,
                                               .elu = true},
                                              ConvName("encoder", index++), loader, layout)});
    channels *= 2;
  }
  ++index;  // ELU
  last_ = std::make_unique<nn::StreamingConv>(nn::ConvSpec{.in_channels = channels,
                                                           .out_channels = config.dimension,
                                                           .kernel = config.last_kernel_size,
                                                           .elu = true},
                                              ConvName("encoder", index), loader, layout);
}

at::Tensor SeanetEncoder::Forward(const at::Tensor& pcm, nn::SlotState& state,
                                  const nn::SlotIds& slots) const {
  return InParts(pcm, hop_samples_, slots, [&](const at::Tensor& part, const nn::SlotIds& of_part) {
    return ForwardPart(part, state, of_part);
  });
}

at::Tensor SeanetEncoder::ForwardPart(const at::Tensor& pcm, nn::SlotState& state,
                                      const nn::SlotIds& slots) const {
  at::Tensor x = first_->Forward(pcm, state, slots);
  for (const Stage& stage : stages_) {
    for (const ResidualBlock& block : stage.blocks) x = block.Forward(x, state, slots);
    x = stage.down.Forward(x, state, slots);
  }
  return last_->Forward(x, state, slots);
}

SeanetDecoder::SeanetDecoder(const SeanetConfig& config, nn::WeightLoader& loader,
                             nn::StateLayout& layout) {
  int64_t channels = static_cast<int64_t>(config.n_filters) << config.ratios.size();
  int index = 0;
  first_ = std::make_unique<nn::StreamingConv>(
      nn::ConvSpec{
          .in_channels = config.dimension, .out_channels = channels, .kernel = config.kernel_size},
      ConvName("decoder", index++), loader, layout);
  for (const int ratio : config.ratios) {
    ++index;  // ELU
    nn::StreamingTransposedConv up({.in_channels = channels,
                                    .out_channels = channels / 2,
                                    .kernel = int64_t{2} * ratio,
                                    .stride = ratio,
                                    .elu = true},
                                   fmt::format("decoder.model.{}.convtr.convtr", index++), loader,
                                   layout);
    channels /= 2;
    std::vector<ResidualBlock> blocks;
    for (int j = 0; j < config.n_residual_layers; ++j) {
      blocks.emplace_back(config, channels, j, fmt::format("decoder.model.{}", index++), loader,
                          layout);
    }
    stages_.push_back({std::move(up), std::move(blocks)});
  }
  ++index;  // ELU
  last_ = std::make_unique<nn::StreamingConv>(nn::ConvSpec{.in_channels = channels,
                                                           .out_channels = config.channels,
                                                           .kernel = config.last_kernel_size,
                                                           .elu = true},
                                              ConvName("decoder", index), loader, layout);
}

at::Tensor SeanetDecoder::Forward(const at::Tensor& latent, nn::SlotState& state,
                                  const nn::SlotIds& slots) const {
  return InParts(latent, 1, slots, [&](const at::Tensor& part, const nn::SlotIds& of_part) {
    return ForwardPart(part, state, of_part);
  });
}

at::Tensor SeanetDecoder::ForwardPart(const at::Tensor& latent, nn::SlotState& state,
                                      const nn::SlotIds& slots) const {
  at::Tensor x = first_->Forward(latent, state, slots);
  for (const Stage& stage : stages_) {
    x = stage.up.Forward(x, state, slots);
    for (const ResidualBlock& block : stage.blocks) x = block.Forward(x, state, slots);
  }
  return last_->Forward(x, state, slots);
}

}  // namespace ppx::codec
