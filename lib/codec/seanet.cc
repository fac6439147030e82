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
                             nn::StateLayout& layout) {
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
  at::Tensor x = first_->Forward(latent, state, slots);
  for (const Stage& stage : stages_) {
    x = stage.up.Forward(x, state, slots);
    for (const ResidualBlock& block : stage.blocks) x = block.Forward(x, state, slots);
  }
  return last_->Forward(x, state, slots);
}

}  // namespace ppx::codec
