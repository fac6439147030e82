#include "lm/sampler.h"

#include <ATen/core/PhiloxRNGEngine.h>

#include <algorithm>

namespace ppx::lm {
namespace {

// Streams of a frame have counters of their own: fewer than this many streams, checked by config.
constexpr uint64_t kCountersPerFrame = 1024;

}  // namespace

float RandomStream::Uniform(int64_t frame, int stream) const {
  at::Philox4_32 engine(
      seed, dialogue,
      static_cast<uint64_t>(frame) * kCountersPerFrame + static_cast<uint64_t>(stream));
  constexpr float kStep = 1.0F / (1 << 24);
  return static_cast<float>(engine() >> 8) * kStep;
}

uint64_t DialogueKey(std::string_view dialogue_id) {
  // FNV-1a, 64 bits.
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : dialogue_id) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

at::Tensor SampleTokens(const at::Tensor& logits, const std::vector<double>& temperature,
                        const std::vector<int>& top_k, const std::vector<float>& uniforms) {
  const int64_t card = logits.size(1);
  const bool all_greedy =
      std::all_of(temperature.begin(), temperature.end(), [](double t) { return t <= 0; });
  const at::Tensor wide = logits.to(at::kFloat);
  const at::Tensor best = wide.argmax(-1);
  if (all_greedy) return best;

  std::vector<at::Tensor> tokens;
  // Rows are drawn one by one: each may have its own settings, and none may see another's.
  for (int64_t row = 0; row < logits.size(0); ++row) {
    const auto r = static_cast<size_t>(row);
    if (temperature[r] <= 0) {
      tokens.push_back(best.select(0, row));
      continue;
    }
    const at::Tensor probabilities = at::softmax(wide.select(0, row) / temperature[r], -1);
    const int64_t kept = top_k[r] > 0 ? std::min<int64_t>(top_k[r], card) : card;
    const auto [values, indices] =
        at::topk(probabilities, kept, -1, /*largest=*/true, /*sorted=*/true);
    const at::Tensor cumulative = values.cumsum(0, at::kDouble);
    const at::Tensor threshold = cumulative.select(0, kept - 1) * static_cast<double>(uniforms[r]);
    const at::Tensor place = cumulative.le(threshold).sum().clamp_max(kept - 1);
    tokens.push_back(indices.index_select(0, place.unsqueeze(0)).squeeze(0));
  }
  return at::stack(tokens);
}

}  // namespace ppx::lm
