#include "lm/lm_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace ppx::lm {
namespace {

int GateWidth(int dim, int feedforward) {
  return feedforward == 4 * dim ? 21 * dim / 8 : 2 * feedforward / 3;
}

}  // namespace

int LmConfig::max_delay() const { return *std::max_element(delays.begin(), delays.end()); }

int LmConfig::hidden() const { return GateWidth(dim, static_cast<int>(hidden_scale * dim)); }

int LmConfig::depformer_hidden() const {
  return GateWidth(depformer_dim, depformer_dim_feedforward);
}

LmConfig LmConfig::FromJson(const nn::JsonFields& fields) {
  LmConfig config;
  const bool moshi = fields.Text("model_type", "personaplex") == "moshi";
  config.ring_rule = moshi ? nn::RingRule::kFull : nn::RingRule::kMaskNextSlot;
  config.system_prompts = !moshi;
  if (moshi) {
    config.dep_q = 8;
    config.text_card = 32000;
  }
  config.dim = fields.Int("dim", config.dim, 1);
  config.num_heads = fields.Int("num_heads", config.num_heads, 1, 1 << 12);
  config.num_layers = fields.Int("num_layers", config.num_layers, 0, 1 << 12);
  config.hidden_scale = fields.Real("hidden_scale", config.hidden_scale);
  config.context = fields.Int("context", config.context, 1);
  config.max_period = fields.Real("max_period", config.max_period);
  config.text_card = fields.Int("text_card", config.text_card, 4);
  config.text_padding_id = fields.Int("existing_text_padding_id", config.text_padding_id);
  config.n_q = fields.Int("n_q", config.n_q, 2, 256);
  config.card = fields.Int("card", config.card, 1);
  config.dep_q = fields.Int("dep_q", config.dep_q, 1, 256);
  config.depformer_dim = fields.Int("depformer_dim", config.depformer_dim, 1);
  config.depformer_dim_feedforward = fields.Int(
      "depformer_dim_feedforward", static_cast<int>(config.hidden_scale * config.depformer_dim), 1);
  config.depformer_num_heads =
      fields.Int("depformer_num_heads", config.depformer_num_heads, 1, 1 << 12);
  config.depformer_num_layers =
      fields.Int("depformer_num_layers", config.depformer_num_layers, 0, 1 << 12);
  config.delays = fields.Ints("delays", config.delays);
  config.silence_tokens = fields.Ints("silence_tokens", config.silence_tokens);
  config.sine_tokens = fields.Ints("sine_tokens", config.sine_tokens);

  if (config.n_q % 2 != 0)
    fields.Reject("n_q", "is odd; agent and user have as many codebooks each");
  if (config.dep_q < config.codebooks()) {
    fields.Reject("dep_q", fmt::format("is {}, less than the {} codebooks of the agent",
                                       config.dep_q, config.codebooks()));
  }
  if (config.dim % config.num_heads != 0 || (config.dim / config.num_heads) % 2 != 0) {
    fields.Reject("num_heads", "does not divide dim into heads of even size");
  }
  if (config.depformer_dim % config.depformer_num_heads != 0) {
    fields.Reject("depformer_num_heads", "does not divide depformer_dim");
  }
  if (static_cast<int>(config.delays.size()) < config.streams()) {
    fields.Reject("delays", fmt::format("has {} entries, expected {}", config.delays.size(),
                                        config.streams()));
  }
  config.delays.resize(static_cast<size_t>(config.streams()));
  for (const int delay : config.delays) {
    if (delay < 0 || delay > 64) fields.Reject("delays", "holds a delay that is not 0 to 64");
  }
  const auto check_codes = [&](const char* name, const std::vector<int>& codes) {
    if (static_cast<int>(codes.size()) < config.codebooks()) {
      fields.Reject(name, fmt::format("has {} entries, expected {}; set it beside the other sizes",
                                      codes.size(), config.codebooks()));
    }
    for (int k = 0; k < config.codebooks(); ++k) {
      const int code = codes[static_cast<size_t>(k)];
      if (config.system_prompts && (code < 0 || code >= config.card)) {
        fields.Reject(name, fmt::format("holds {}, codes are 0 to {}", code, config.card - 1));
      }
    }
  };
  check_codes("silence_tokens", config.silence_tokens);
  check_codes("sine_tokens", config.sine_tokens);
  // What this program would compute otherwise than the checkpoint means is refused, not ignored.
  if (fields.Text("gating", "silu") != "silu") fields.Reject("gating", "must be 'silu'");
  if (fields.Text("depformer_gating", "silu") != "silu") {
    fields.Reject("depformer_gating", "must be 'silu'");
  }
  const std::string norm = fields.Text("norm", "rms_norm_f32");
  if (norm != "rms_norm_f32") fields.Reject("norm", "must be 'rms_norm_f32'");
  const std::string position = fields.Text("positional_embedding", "rope");
  if (position == "none") {
    config.max_period = 0;
  } else if (position != "rope") {
    fields.Reject("positional_embedding", "must be 'rope' or 'none'");
  }
  if (fields.Text("depformer_pos_emb", "none") != "none") {
    fields.Reject("depformer_pos_emb", "must be 'none'");
  }
  if (!fields.Bool("depformer_weights_per_step", true)) {
    fields.Reject("depformer_weights_per_step", "must be true");
  }
  if (!fields.Bool("depformer_multi_linear", true)) {
    fields.Reject("depformer_multi_linear", "must be true");
  }
  return config;
}

}  // namespace ppx::lm
