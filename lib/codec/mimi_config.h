// lib/codec/mimi_config.h: sizes of the Mimi codec, from the `mimi` block of a checkpoint's
// config.json. Defaults are those of the released codec (Kyutai's Mimi, arXiv 2410.00037).
#pragma once

#include <vector>

#include "nn/json_fields.h"
#include "nn/ring_attention.h"

namespace ppx::codec {

struct SeanetConfig {
  int channels = 1;
  int dimension = 512;        // of the latent
  int n_filters = 64;         // channels next to the waveform
  int n_residual_layers = 1;  // residual blocks for each ratio
  int dilation_base = 2;      // block j dilates by dilation_base^j
  int compress = 2;           // a block's inner channels are outer / compress
  int kernel_size = 7;        // of the encoder's and the decoder's first convolution
  int residual_kernel_size = 3;
  int last_kernel_size = 3;
  std::vector<int> ratios{8, 6, 5, 4};  // as the decoder has them; the encoder goes backwards

  int hop_samples() const;  // product of the ratios
};

struct QuantizerConfig {
  int dimension = 256;  // of the codebook entries
  int n_q = 32;         // levels stored: one semantic, the others acoustic
  int bins = 2048;      // entries of a codebook
};

struct CodecTransformerConfig {
  int d_model = 512;
  int num_heads = 8;
  int num_layers = 8;
  int dim_feedforward = 2048;
  int context = 250;  // steps at the encoder's rate
  double max_period = 10000;
  bool layer_scale = true;
};

struct MimiConfig {
  int sample_rate_hz = 24000;
  double frame_rate_hz = 12.5;
  SeanetConfig seanet;
  QuantizerConfig quantizer;
  CodecTransformerConfig transformer;
  nn::RingRule ring_rule = nn::RingRule::kMaskNextSlot;

  int frame_samples() const;    // 1920 in the released codec
  int steps_per_frame() const;  // 2: SEANet runs at 25 Hz
  double frame_s() const { return 1.0 / frame_rate_hz; }

  // Throws base::Error (kBadInput) for sizes that cannot be: ratios that do not divide a frame, a
  // width that the heads do not divide.
  static MimiConfig FromJson(const nn::JsonFields& mimi, nn::RingRule rule);
};

}  // namespace ppx::codec
