#include "lm/sampler.h"

#include <ATen/core/PhiloxRNGEngine.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "kernels/parallel.h"

namespace ppx::lm {
namespace {

// Streams of a frame have counters of their own: fewer than this many streams, checked by config.
constexpr uint64_t kCountersPerFrame = 1024;

int64_t Kept(int top_k, int64_t card) { return top_k > 0 ? std::min<int64_t>(top_k, card) : card; }

// A token with its logit as one number: the greater, the likelier, of equals the lower token.
uint64_t Ranked(float logit, int64_t token) {
  // Zeros are equal; the bits of negative numbers rise as the numbers fall.
  const auto bits = std::bit_cast<uint32_t>(logit + 0.0F);
  const uint32_t order = std::isnan(logit) ? ~0U : (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
  return (uint64_t{order} << 32) | ~static_cast<uint32_t>(token);
}

int64_t TokenOf(uint64_t ranked) { return ~static_cast<uint32_t>(ranked); }

template <typename T>
int64_t Argmax(const T* logits, int64_t card) {
  int64_t best = 0;
  auto highest = static_cast<float>(logits[0]);
  for (int64_t token = 1; token < card; ++token) {
    const auto logit = static_cast<float>(logits[token]);
    // A NaN is above all numbers.
    if (logit <= highest || std::isnan(highest)) continue;
    highest = logit;
    best = token;
  }
  return best;
}

// The `kept` likeliest, the likeliest first.
template <typename T>
std::vector<uint64_t> Likeliest(const T* logits, int64_t card, int64_t kept) {
  const auto wanted = static_cast<size_t>(kept);
  std::vector<uint64_t> best;
  best.reserve(2 * wanted);
  const auto cut = [&] {
    std::nth_element(best.begin(), best.begin() + kept - 1, best.end(), std::greater<>());
    best.resize(wanted);
  };
  // What the least likely of `kept` tokens has, once so many were seen: nothing below can be
  // wanted, and of its equals the later ones cannot. A comparison with NaN lets everything pass.
  float floor = std::numeric_limits<float>::quiet_NaN();
  for (int64_t token = 0; token < card; ++token) {
    const auto logit = static_cast<float>(logits[token]);
    if (logit <= floor) continue;
    best.push_back(Ranked(logit, token));
    if (best.size() == 2 * wanted) {
      cut();
      floor = static_cast<float>(logits[TokenOf(best.back())]);
    }
  }
  if (best.size() > wanted) cut();
  std::sort(best.begin(), best.end(), std::greater<>());
  return best;
}

template <typename T>
int64_t Draw(const T* logits, int64_t card, double temperature, int top_k, float uniform) {
  const std::vector<uint64_t> best = Likeliest(logits, card, Kept(top_k, card));
  const auto logit = [&](size_t place) {
    return static_cast<double>(static_cast<float>(logits[TokenOf(best[place])]));
  };
  std::vector<double> cumulative(best.size());
  double total = 0;
  for (size_t place = 0; place < best.size(); ++place) {
    total += std::exp((logit(place) - logit(0)) / temperature);
    cumulative[place] = total;
  }
  const double threshold = total * static_cast<double>(uniform);
  size_t place = 0;
  while (place + 1 < best.size() && cumulative[place] <= threshold) ++place;
  return TokenOf(best[place]);
}

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
  const bool known = logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kBFloat16;
  if (!logits.is_cpu() || !known) {
    return SampleTokensPlain(logits, temperature, top_k, uniforms);
  }
  const at::Tensor packed = logits.contiguous();
  const int64_t card = packed.size(1);
  const int64_t rows = packed.size(0);
  at::Tensor tokens = at::empty({rows}, at::kLong);
  // A thread is worth its start from about so many logits on.
  constexpr int64_t kLogitsPerTask = 1 << 12;
  const int64_t tasks =
      std::clamp<int64_t>(packed.numel() / kLogitsPerTask, 1, std::max<int64_t>(rows, 1));
  const auto sample = [&]<typename T>(const T* from) {
    kernels::ParallelFor(tasks, [&](int64_t task) {
      for (int64_t row = rows * task / tasks; row < rows * (task + 1) / tasks; ++row) {
        const auto r = static_cast<size_t>(row);
        const T* row_logits = from + row * card;
        tokens.data_ptr<int64_t>()[row] =
            temperature[r] <= 0 ? Argmax(row_logits, card)
                                : Draw(row_logits, card, temperature[r], top_k[r], uniforms[r]);
      }
    });
  };
  if (packed.scalar_type() == at::kFloat) {
    sample(packed.const_data_ptr<float>());
  } else {
    sample(packed.const_data_ptr<at::BFloat16>());
  }
  return tokens;
}

at::Tensor SampleTokensPlain(const at::Tensor& logits, const std::vector<double>& temperature,
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
    const auto [values, indices] =
        at::sort(wide.select(0, row), /*stable=*/true, -1, /*descending=*/true);
    const int64_t kept = Kept(top_k[r], card);
    const at::Tensor likeliest = values.narrow(0, 0, kept).to(at::kDouble);
    const at::Tensor cumulative =
        (likeliest - likeliest.select(0, 0)).div_(temperature[r]).exp_().cumsum(0);
    const at::Tensor threshold = cumulative.select(0, kept - 1) * static_cast<double>(uniforms[r]);
    const at::Tensor place = cumulative.le(threshold).sum().clamp_max(kept - 1);
    tokens.push_back(indices.index_select(0, place.unsqueeze(0)).squeeze(0));
  }
  return at::stack(tokens);
}

}  // namespace ppx::lm
