// lib/lm/cuda/sample.cuh: logits -> token, with the draw of lm/sampler.h: softmax, the top k, the
// first in order of likelihood whose cumulative probability exceeds uniform * total.
//
// Nothing is sorted. A logit becomes a key, an integer in the same order, and a probability an
// integer too, so that sums are exact whatever their order. The token is then found by three
// searches of one kind: the k-th largest key, the key at which the cumulative weight passes the
// limit, and the place of the drawn one among equals. Equal logits are ordered by their index.
#pragma once

#include <cmath>

#include "lm/cuda/kernel.cuh"

namespace ppx::lm::cuda {

// Larger cards would let a sum of weights overflow.
inline constexpr int kLargestCard = 1 << 18;

// The order of floats as that of unsigned integers; both zeros are one.
PPX_DEVICE uint32_t OrderedKey(float x) {
  const uint32_t bits = x == 0 ? 0 : BitsOf(x);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
PPX_DEVICE uint32_t OrderedKey(Bf16 x) { return OrderedKey(ToFloat(x)) >> 16; }
// The float of a key of `bits` bits; those that a narrower type lacks are zero.
PPX_DEVICE float ValueOfKey(uint32_t key, int bits) {
  const uint32_t wide = key << (32 - bits);
  return FloatOfBits((wide & 0x80000000U) != 0 ? wide & 0x7fffffffU : ~wide & ~0U << (32 - bits));
}

// exp((logit - highest) / temperature) in units of 2^-44: a float near 1 keeps all its bits.
PPX_DEVICE uint64_t Weight(float logit, float highest, float temperature) {
  const float weight = expf((logit - highest) / temperature);
  return weight > 0 ? static_cast<uint64_t>(weight * 17592186044416.0F) : 0;
}

// floor(total * uniform), of a uniform of 24 bits in [0, 1).
PPX_DEVICE uint64_t ShareOf(uint64_t total, float uniform) {
  const auto numerator = static_cast<uint64_t>(uniform * 16777216.0F);
  return (total >> 24) * numerator + (((total & 0xffffffU) * numerator) >> 24);
}

template <class T>
struct SampleKernel {
  const T* logits;           // [rows, card]
  const int32_t* fixed;      // a row's token where it is given, else `not_fixed`
  const float* temperature;  // [rows]; 0 or less: the first of the likeliest
  const int32_t* top_k;      // [rows]; 0 or less: no limit
  const float* uniforms;
  int32_t* chosen;
  int stride;  // of the rows of fixed, uniforms and chosen
  int32_t not_fixed;
  int rows;
  int card;  // at most kLargestCard

  static constexpr int kThreads = 1024;
  struct Shared {
    uint64_t partial[kMaxGroups][3];
  };

  int64_t Blocks() const { return rows; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t row, Shared& shared) const {
    const int32_t given = fixed[row * stride];
    const int32_t token = given != not_fixed ? given : Draw(team, row, shared);
    if (team.rank() == 0) chosen[row * stride] = token;
  }

 private:
  static constexpr int kBits = 8 * sizeof(T);

  template <class Team>
  PPX_DEVICE int32_t Draw(Team team, int64_t row, Shared& shared) const {
    const T* row_logits = logits + row * card;
    const auto key = [&](int i) { return OrderedKey(row_logits[i]); };
    const auto one = [](uint32_t) { return uint64_t{1}; };
    const uint32_t highest = Search(team, kBits, 0, key, one, shared);
    uint32_t drawn = highest;
    uint64_t place = 0;  // among those of the same key
    if (temperature[row] > 0) {
      const auto kept =
          static_cast<uint64_t>(top_k[row] > 0 && top_k[row] < card ? top_k[row] : card);
      const uint32_t lowest = Search(team, kBits, kept - 1, key, one, shared);
      // Weights below the top k are never asked for by a search within its total.
      const auto weight = [&](uint32_t k) {
        return k < lowest
                   ? 0
                   : Weight(ValueOfKey(k, kBits), ValueOfKey(highest, kBits), temperature[row]);
      };
      uint64_t above[3] = {0, 0, 0};  // count and weight above the lowest key kept
      for (int i = team.rank(); i < card; i += team.size()) {
        if (key(i) <= lowest) continue;
        ++above[0];
        above[1] += weight(key(i));
      }
      BlockSum(team, above, shared.partial);
      const uint64_t total = above[1] + (kept - above[0]) * weight(lowest);
      const uint64_t limit = ShareOf(total, uniforms[row * stride]);
      drawn = Search(team, kBits, limit, key, weight, shared);
      uint64_t before[3] = {0, 0, 0};
      for (int i = team.rank(); i < card; i += team.size()) {
        if (key(i) > drawn) before[0] += weight(key(i));
      }
      BlockSum(team, before, shared.partial);
      // Not zero where logits are numbers: the search found the weight that passes the limit.
      if (weight(drawn) > 0) place = (limit - before[0]) / weight(drawn);
    }
    uint64_t equals[3] = {0, 0, 0};
    for (int i = team.rank(); i < card; i += team.size()) equals[0] += key(i) == drawn ? 1 : 0;
    BlockSum(team, equals, shared.partial);
    // The index with `place` equals in front of it has the others behind it.
    const auto index = [](int i) { return static_cast<uint32_t>(i); };
    const auto equal = [&](uint32_t i) {
      return uint64_t{key(static_cast<int>(i)) == drawn ? 1U : 0U};
    };
    int index_bits = 2;
    while (index_bits < 32 && (card - 1) >> index_bits != 0) index_bits += 2;
    return static_cast<int32_t>(
        Search(team, index_bits, equals[0] - 1 - place, index, equal, shared));
  }

  // The largest key k of `bits` bits, an even number, for which the amounts of all elements with a
  // key of k or more sum to more than `limit`; 0 where there is none. Two bits a round.
  template <class Team, class Key, class Amount>
  PPX_DEVICE uint32_t Search(Team team, int bits, uint64_t limit, Key key, Amount amount,
                             Shared& shared) const {
    uint32_t found = 0;
    for (int shift = bits - 2; shift >= 0; shift -= 2) {
      uint64_t sums[3] = {0, 0, 0};  // of keys from found + 1, 2 and 3 << shift
      for (int i = team.rank(); i < card; i += team.size()) {
        const uint32_t k = key(i);
        if (k < (found | 1U << shift)) continue;
        const uint64_t a = amount(k);
        sums[0] += a;
        if (k >= (found | 2U << shift)) sums[1] += a;
        if (k >= (found | 3U << shift)) sums[2] += a;
      }
      BlockSum(team, sums, shared.partial);
      const uint32_t digit = sums[2] > limit ? 3 : sums[1] > limit ? 2 : sums[0] > limit ? 1 : 0;
      found |= digit << shift;
    }
    return found;
  }
};

}  // namespace ppx::lm::cuda
