// lib/lm/sampler.h: logits -> token, the same for a dialogue whatever runs beside it.
//
// Randomness is counter-based (Philox 4x32-10; Salmon et al., SC'11): the number used for a stream
// of a frame of a dialogue is a function of (seed, dialogue, frame, stream) and of nothing else.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace ppx::lm {

struct SamplingOptions {
  bool greedy = false;     // argmax; the other fields are then not used
  double temp_text = 0.7;  // 0 is greedy
  double temp_audio = 0.8;
  int topk_text = 25;  // 0: no limit
  int topk_audio = 250;
};

// What one dialogue draws from.
struct RandomStream {
  uint64_t seed = 0;
  uint64_t dialogue = 0;  // see DialogueKey

  // Uniform in [0, 1), 24 bits.
  float Uniform(int64_t frame, int stream) const;
};

// A dialogue's key from its name, so that it does not depend on its place in a list.
uint64_t DialogueKey(std::string_view dialogue_id);

// One token for each row: softmax of logits / temperature, the `top_k` likeliest kept (of equals
// the lower token), one drawn in proportion, the likeliest first: the first whose cumulative
// probability exceeds uniform * total, in float64. Probabilities enter the draw by their ratios
// alone, which are those of all tokens whether or not the sum over all is known.
//   logits [n, card]; temperature, top_k, uniforms: one a row; temperature <= 0 means argmax, the
//   first of equals; top_k 0 keeps all
//   returns [n] int64 on the logits' device
// `SampleTokens` reads each row once on the CPU, where logits in float32 or bfloat16 are; the plain
// version is written with tensor operations, serves other devices, and is what the fast one is
// checked against. A NaN counts as the highest logit, and the first such token is returned.
at::Tensor SampleTokens(const at::Tensor& logits, const std::vector<double>& temperature,
                        const std::vector<int>& top_k, const std::vector<float>& uniforms);
at::Tensor SampleTokensPlain(const at::Tensor& logits, const std::vector<double>& temperature,
                             const std::vector<int>& top_k, const std::vector<float>& uniforms);

}  // namespace ppx::lm
