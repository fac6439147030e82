// lib/lm/lm_config.h: sizes of the language model, from the top level of a checkpoint's
// config.json. Defaults are those of PersonaPlex-7B-v1 (arXiv 2602.06053; Moshi, arXiv 2410.00037).
#pragma once

#include <cstdint>
#include <vector>

#include "nn/json_fields.h"
#include "nn/ring_attention.h"

namespace ppx::lm {

// Input of a stream that contributes nothing to the embedding sum.
inline constexpr int32_t kZeroToken = -1;
// A cell of the token cache that nothing was written to. Feeding it is a bug.
inline constexpr int32_t kUngenerated = -2;

struct LmConfig {
  // Temporal transformer.
  int dim = 4096;
  int num_heads = 32;
  int num_layers = 32;
  double hidden_scale = 4.125;
  int context = 3000;  // steps
  double max_period = 10000;
  int text_card = 32000;  // vocabulary; this very id is the initial token
  int text_padding_id = 3;
  int n_q = 16;     // audio streams in: the agent's codebooks, then the user's
  int card = 2048;  // entries of a codebook; this very id is the initial token

  // Depth transformer.
  int dep_q = 16;  // steps the checkpoint can run
  int depformer_dim = 1024;
  int depformer_dim_feedforward = 4224;
  int depformer_num_heads = 16;
  int depformer_num_layers = 6;

  // One for each of the 1 + n_q streams: text, agent codebooks, user codebooks.
  std::vector<int> delays{0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1};

  // Agent audio of a silent frame, and user audio of the 440 Hz tone that marks the system prompt.
  std::vector<int> silence_tokens{948, 243, 1178, 546, 1736, 1030, 1978, 2008};
  std::vector<int> sine_tokens{430, 1268, 381, 1611, 1095, 1495, 56, 472};

  // The attention window of the checkpoint's family, and whether it was trained on system prompts.
  nn::RingRule ring_rule = nn::RingRule::kMaskNextSlot;
  bool system_prompts = true;

  int streams() const { return 1 + n_q; }
  // Codebooks of one side: those of the agent are streams 1..codebooks(), the user's follow.
  int codebooks() const { return n_q / 2; }
  // Depth steps whose result is ever used: the user's streams are always provided.
  int depth_steps() const { return codebooks(); }
  int max_delay() const;
  int hidden() const;            // width of one half of the temporal gate
  int depformer_hidden() const;  // the same of the depth transformer

  // Throws base::Error (kBadInput) where the sizes contradict each other.
  static LmConfig FromJson(const nn::JsonFields& fields);
};

}  // namespace ppx::lm
