#include "codec/mimi.h"

#include "base/error.h"

namespace ppx::codec {
namespace {

nn::TransformerSpec TransformerSpecOf(const MimiConfig& config) {
  const CodecTransformerConfig& t = config.transformer;
  if (t.d_model != config.seanet.dimension) {
    base::ThrowBadInput("config.json: mimi.transformer.d_model and mimi.seanet.dimension differ");
  }
  return {.dim = t.d_model,
          .num_heads = t.num_heads,
          .num_layers = t.num_layers,
          .hidden = t.dim_feedforward,
          .context = t.context,
          .block = config.steps_per_frame(),
          .rule = config.ring_rule,
          .rope_max_period = t.max_period,
          .norm = nn::NormKind::kLayerNorm,
          .mlp = nn::MlpKind::kGelu,
          .layer_scale = t.layer_scale};
}

}  // namespace

MimiEncoder::MimiEncoder(const MimiConfig& config, int levels, nn::WeightLoader& loader)
    : device_(loader.options().device),
      seanet_(config.seanet, loader, layout_),
      transformer_(TransformerSpecOf(config), "encoder_transformer.transformer", loader, layout_),
      quantizer_(config.quantizer, config.seanet.dimension, levels, loader) {
  const int64_t stride = config.steps_per_frame();
  if (stride > 1) {
    downsample_ =
        std::make_unique<nn::StreamingConv>(nn::ConvSpec{.in_channels = config.seanet.dimension,
                                                         .out_channels = config.seanet.dimension,
                                                         .kernel = 2 * stride,
                                                         .stride = stride,
                                                         .bias = false,
                                                         .first_pad = nn::FirstPad::kReplicate},
                                            "downsample.conv.conv.conv", loader, layout_);
  }
}

at::Tensor MimiEncoder::Encode(const at::Tensor& pcm, nn::SlotState& state,
                               const nn::SlotIds& slots, const nn::DebugTap& tap) const {
  // [n, T, channels] throughout; mono pcm is that already.
  at::Tensor x = seanet_.Forward(pcm.transpose(1, 2), state, slots);
  if (tap) tap("mimi.encoder_out", x.transpose(1, 2));
  x = transformer_.Forward(x, state, slots);
  if (tap) tap("mimi.encoder_transformer_out", x.transpose(1, 2));
  if (downsample_) x = downsample_->Forward(x, state, slots);
  if (tap) tap("mimi.latent", x.transpose(1, 2));
  return quantizer_.Encode(x);
}

MimiDecoder::MimiDecoder(const MimiConfig& config, int levels, nn::WeightLoader& loader)
    : device_(loader.options().device),
      quantizer_(config.quantizer, config.seanet.dimension, levels, loader),
      upsample_(config.steps_per_frame() == 1
                    ? nullptr
                    : std::make_unique<nn::StreamingTransposedConv>(
                          nn::ConvSpec{.in_channels = config.seanet.dimension,
                                       .out_channels = config.seanet.dimension,
                                       .kernel = int64_t{2} * config.steps_per_frame(),
                                       .stride = config.steps_per_frame(),
                                       .depthwise = true,
                                       .bias = false},
                          "upsample.convtr.convtr.convtr", loader, layout_)),
      transformer_(TransformerSpecOf(config), "decoder_transformer.transformer", loader, layout_),
      seanet_(config.seanet, loader, layout_) {}

at::Tensor MimiDecoder::Decode(const at::Tensor& codes, nn::SlotState& state,
                               const nn::SlotIds& slots) const {
  at::Tensor x = quantizer_.Decode(codes);  // [n, T, channels] from here on
  if (upsample_) x = upsample_->Forward(x, state, slots);
  x = transformer_.Forward(x, state, slots);
  return seanet_.Forward(x, state, slots).transpose(1, 2);
}

}  // namespace ppx::codec
