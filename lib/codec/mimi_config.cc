#include "codec/mimi_config.h"

#include <cmath>

#include "base/error.h"

namespace ppx::codec {

int SeanetConfig::hop_samples() const {
  int product = 1;
  for (const int ratio : ratios) product *= ratio;
  return product;
}

int MimiConfig::frame_samples() const {
  return static_cast<int>(std::lround(sample_rate_hz / frame_rate_hz));
}

int MimiConfig::steps_per_frame() const { return frame_samples() / seanet.hop_samples(); }

MimiConfig MimiConfig::FromJson(const nn::JsonFields& mimi, nn::RingRule rule) {
  MimiConfig config;
  config.ring_rule = rule;
  config.sample_rate_hz = mimi.Int("sample_rate", config.sample_rate_hz, 1000, 768000);
  config.frame_rate_hz = mimi.Real("frame_rate", config.frame_rate_hz);
  if (!(config.frame_rate_hz > 0)) mimi.Reject("frame_rate", "is not positive");

  const nn::JsonFields seanet = mimi.Object("seanet");
  SeanetConfig& s = config.seanet;
  s.channels = seanet.Int("channels", s.channels, 1, 1);
  s.dimension = seanet.Int("dimension", s.dimension, 1);
  s.n_filters = seanet.Int("n_filters", s.n_filters, 1, 1 << 16);
  s.n_residual_layers = seanet.Int("n_residual_layers", s.n_residual_layers, 0, 16);
  s.dilation_base = seanet.Int("dilation_base", s.dilation_base, 1, 64);
  s.compress = seanet.Int("compress", s.compress, 1, 1 << 10);
  s.kernel_size = seanet.Int("kernel_size", s.kernel_size, 1, 1 << 10);
  s.residual_kernel_size = seanet.Int("residual_kernel_size", s.residual_kernel_size, 1, 1 << 10);
  s.last_kernel_size = seanet.Int("last_kernel_size", s.last_kernel_size, 1, 1 << 10);
  s.ratios = seanet.Ints("ratios", s.ratios);
  if (s.ratios.empty() || s.ratios.size() > 12) seanet.Reject("ratios", "has no sensible length");
  for (const int ratio : s.ratios) {
    if (ratio < 1 || ratio > 1024) seanet.Reject("ratios", "holds a ratio that is not 1 to 1024");
  }
  // What this program would compute otherwise than the checkpoint means is refused, not ignored.
  if (!seanet.Bool("true_skip", true)) seanet.Reject("true_skip", "must be true");
  if (!seanet.Bool("causal", true)) seanet.Reject("causal", "must be true");
  if (seanet.Text("norm", "none") != "none") seanet.Reject("norm", "must be 'none'");
  if (seanet.Text("activation", "ELU") != "ELU") seanet.Reject("activation", "must be 'ELU'");
  if (seanet.Text("pad_mode", "constant") != "constant") {
    seanet.Reject("pad_mode", "must be 'constant'");
  }

  const nn::JsonFields quantizer = mimi.Object("quantizer");
  config.quantizer.dimension = quantizer.Int("dimension", config.quantizer.dimension, 1);
  config.quantizer.n_q = quantizer.Int("n_q", config.quantizer.n_q, 2, 1024);
  config.quantizer.bins = quantizer.Int("bins", config.quantizer.bins, 1);

  const nn::JsonFields transformer = mimi.Object("transformer");
  CodecTransformerConfig& t = config.transformer;
  t.d_model = transformer.Int("d_model", t.d_model, 1);
  t.num_heads = transformer.Int("num_heads", t.num_heads, 1, 1 << 12);
  t.num_layers = transformer.Int("num_layers", t.num_layers, 0, 1 << 10);
  t.dim_feedforward = transformer.Int("dim_feedforward", t.dim_feedforward, 1);
  t.context = transformer.Int("context", t.context, 1);
  t.max_period = transformer.Real("max_period", t.max_period);
  t.layer_scale = transformer.Real("layer_scale", 0.01) > 0;
  if (transformer.Text("norm", "layer_norm") != "layer_norm") {
    transformer.Reject("norm", "must be 'layer_norm'");
  }
  if (transformer.Text("gating", "none") != "none") transformer.Reject("gating", "must be 'none'");
  const std::string position = transformer.Text("positional_embedding", "rope");
  if (position == "none") {
    t.max_period = 0;
  } else if (position != "rope") {
    transformer.Reject("positional_embedding", "must be 'rope' or 'none'");
  }
  if (t.d_model % t.num_heads != 0 || (t.d_model / t.num_heads) % 2 != 0) {
    transformer.Reject("num_heads", "does not divide d_model into heads of even size");
  }

  const double exact_frame = config.sample_rate_hz / config.frame_rate_hz;
  if (std::abs(exact_frame - config.frame_samples()) > 1e-6) {
    mimi.Reject("frame_rate", "does not give a whole number of samples a frame");
  }
  if (config.frame_samples() % s.hop_samples() != 0 || config.frame_samples() < s.hop_samples()) {
    seanet.Reject("ratios", "multiply to a hop that does not divide a frame");
  }
  return config;
}

}  // namespace ppx::codec
