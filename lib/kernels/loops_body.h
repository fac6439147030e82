// lib/kernels/loops_body.h: inside this library: the loops of loops.h, included once by a file for
// each instruction set.
#pragma once

#include "kernels/loop_set.h"
#include "kernels/vectors.h"

namespace ppx::kernels {
namespace {

// Touches the lines of [from, from + bytes) in order. Processors fetch ahead of reads in order, and
// lose track of reads that jump between rows.
inline void Touch(const void* from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(static_cast<const char*>(from) + i);
  }
}

// What a dot product takes at once of two rows.
template <typename T>
struct Chunk {
  static constexpr int64_t kElements = kPair;
  Pair x;
  static Chunk From(const T* from) { return {LoadPair(from)}; }
  static Chunk FromPart(const T* from, int64_t count) { return {LoadPairPart(from, count)}; }
  static Vec AddProduct(Chunk a, Chunk b, Vec sum) {
    return Fma(a.x.b, b.x.b, Fma(a.x.a, b.x.a, sum));
  }
};

#if defined(__AVX512F__)
template <>
struct Chunk<Bf16> {
  static constexpr int64_t kElements = 2 * kLanes;
  __m512i x;
  static Chunk From(const Bf16* from) { return {_mm512_loadu_si512(from)}; }
  static Chunk FromPart(const Bf16* from, int64_t count) {
    return {_mm512_maskz_loadu_epi16((1U << count) - 1, from)};
  }
  // gcc 12 copies the accumulator around the intrinsic.
  static Vec AddProduct(Chunk a, Chunk b, Vec sum) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a.x), "v"(b.x));
    return sum;
  }
};
#endif

// scores[q][k] = queries[q] . key k, of `count` keys that lie one after another.
template <int n, typename T>
void Score(const T* const* queries, const T* keys, int64_t count, int64_t dim,
           float* const* scores) {
  using Part = Chunk<T>;
  constexpr int kKeys = 4;
  for (int64_t at = 0; at < count; at += kKeys) {
    const int64_t here = Least(kKeys, count - at);
    if constexpr (n == 1) Touch(keys + at * dim, here * dim * static_cast<int64_t>(sizeof(T)));
    const T* key[kKeys];
    for (int64_t k = 0; k < kKeys; ++k) key[k] = keys + (at + Least(k, here - 1)) * dim;
    Vec sums[n][kKeys] = {};
    const auto add = [&](const auto& load) {
      Part x[kKeys];
      for (int k = 0; k < kKeys; ++k) x[k] = load(key[k]);
      for (int q = 0; q < n; ++q) {
        const Part y = load(queries[q]);
        for (int k = 0; k < kKeys; ++k) sums[q][k] = Part::AddProduct(x[k], y, sums[q][k]);
      }
    };
    int64_t i = 0;
    for (; i + Part::kElements <= dim; i += Part::kElements) {
      add([&](const T* row) { return Part::From(row + i); });
    }
    if (i < dim) add([&](const T* row) { return Part::FromPart(row + i, dim - i); });
    for (int q = 0; q < n; ++q) {
      const Four four = SumEach(sums[q][0], sums[q][1], sums[q][2], sums[q][3]);
      if (here == kKeys) {
        __builtin_memcpy(scores[q] + at, &four, sizeof(four));
      } else {
        for (int64_t k = 0; k < here; ++k) scores[q][at + k] = four[k];
      }
    }
  }
}

// sums[q] += weights[q][p] * value p over `count` values that lie one after another, one value
// after the other; elements from `begin` on, of which a last pair may be incomplete. Sums are in
// the order of pairs.
template <int n, int pairs, typename T>
void AddWeightedPart(const T* values, int64_t count, int64_t dim, int64_t begin,
                     const float* const* weights, float* const* sums) {
  Pair sum[n][pairs];
  for (int q = 0; q < n; ++q) {
    for (int i = 0; i < pairs; ++i) sum[q][i] = LoadPair(sums[q] + begin + i * kPair);
  }
  const bool whole = begin + pairs * kPair <= dim;
  for (int64_t p = 0; p < count; ++p) {
    const T* value = values + p * dim + begin;
    Pair x[pairs];
    for (int i = 0; i < pairs; ++i) {
      x[i] = pairs > 1 || whole ? LoadPair(value + i * kPair) : LoadPairPart(value, dim - begin);
    }
    for (int q = 0; q < n; ++q) {
      const Vec weight = Broadcast(weights[q][p]);
      for (int i = 0; i < pairs; ++i) {
        sum[q][i].a = Fma(weight, x[i].a, sum[q][i].a);
        sum[q][i].b = Fma(weight, x[i].b, sum[q][i].b);
      }
    }
  }
  for (int q = 0; q < n; ++q) {
    for (int i = 0; i < pairs; ++i) Store(sum[q][i], sums[q] + begin + i * kPair);
  }
}

template <int n, typename T>
void AddWeighted(const T* values, int64_t count, int64_t dim, const float* const* weights,
                 float* const* sums) {
  constexpr int kPairs = static_cast<int>(Least(4, kSums / n / 2));
  int64_t begin = 0;
  for (; begin + kPairs * kPair <= dim; begin += kPairs * kPair) {
    AddWeightedPart<n, kPairs>(values, count, dim, begin, weights, sums);
  }
  for (; begin + kPairs / 2 * kPair <= dim; begin += kPairs / 2 * kPair) {
    AddWeightedPart<n, kPairs / 2>(values, count, dim, begin, weights, sums);
  }
  for (; begin < dim; begin += kPair) {
    AddWeightedPart<n, 1>(values, count, dim, begin, weights, sums);
  }
}

// The scores of `count` positions, -infinity up to a whole vector, to weights. Returns their sum.
float Exponentiate(float* scores, int64_t count, float scale) {
  Vec largest = Load(scores);
  for (int64_t i = kLanes; i < count; i += kLanes) largest = Max(largest, Load(scores + i));
  const Vec shift = Broadcast(Largest(largest));
  Vec total{};
  for (int64_t i = 0; i < count; i += kLanes) {
    const Vec weight = Exp((Load(scores + i) - shift) * Broadcast(scale));
    Store(weight, scores + i);
    total += weight;
  }
  return Sum(total);
}

// n queries at once: the positions that all of them see together, what is left of each alone.
template <int n, typename T>
class Tile {
 public:
  Tile(const HeadRing<T>& ring, const AttentionQuery<T>* queries, float* scratch)
      : ring_(ring), first_(queries[0].first), last_(queries[0].last) {
    int64_t longest = 0;
    for (int q = 0; q < n; ++q) {
      queries_[q] = queries[q];
      first_ = Most(first_, queries[q].first);
      last_ = Least(last_, queries[q].last);
      longest = Most(longest, queries[q].last - queries[q].first);
    }
    const int64_t row = (longest + kLanes - 1) / kLanes * kLanes;
    for (int q = 0; q < n; ++q) {
      weights_[q] = scratch + q * (row + ring.dim + kPair);
      sums_[q] = weights_[q] + row;
    }
  }

  // Whether there are positions that all see.
  bool overlaps() const { return first_ < last_; }

  void Attend(float scale) {
    ForRanges([&](auto together, int q, int64_t first, int64_t last) {
      ScoreRange<together>(q, first, last);
    });
    float totals[n];
    for (int q = 0; q < n; ++q) {
      const int64_t count = queries_[q].last - queries_[q].first;
      for (int64_t i = count; i % kLanes != 0; ++i) weights_[q][i] = -__builtin_inff();
      totals[q] = Exponentiate(weights_[q], count, scale);
      for (int64_t i = 0; i < ring_.dim; i += kPair) Store(Pair{}, sums_[q] + i);
    }
    ForRanges([&](auto together, int q, int64_t first, int64_t last) {
      AddRange<together>(q, first, last);
    });
    for (int q = 0; q < n; ++q) {
      const Vec total = Broadcast(totals[q]);
      for (int64_t i = 0; i < ring_.dim; i += kPair) {
        const Pair sum = LoadPair(sums_[q] + i);
        const Pair result{sum.a / total, sum.b / total};
        if (i + kPair <= ring_.dim) {
          Store(result, queries_[q].output + i);
        } else {
          StorePart(result, queries_[q].output + i, ring_.dim - i);
        }
      }
    }
  }

 private:
  template <int value>
  struct Constant {
    constexpr operator int() const { return value; }
  };

  // Each query's positions in order.
  template <typename Work>
  void ForRanges(const Work& work) {
    for (int q = 0; q < n; ++q) work(Constant<1>(), q, queries_[q].first, first_);
    work(Constant<n>(), 0, first_, last_);
    for (int q = 0; q < n; ++q) work(Constant<1>(), q, last_, queries_[q].last);
  }

  // Calls work(position, offset in the ring, count) for the pieces that lie one after another.
  template <typename Work>
  void ForPieces(int64_t first, int64_t last, int64_t longest, const Work& work) {
    while (first < last) {
      const int64_t cell = first % ring_.capacity;
      const int64_t count = Least(longest, Least(last - first, ring_.capacity - cell));
      work(first, cell * ring_.dim, count);
      first += count;
    }
  }

  template <int together>
  void ScoreRange(int q, int64_t first, int64_t last) {
    ForPieces(first, last, last - first, [&](int64_t position, int64_t offset, int64_t count) {
      const T* queries[together];
      float* scores[together];
      for (int i = 0; i < together; ++i) {
        queries[i] = queries_[q + i].query;
        scores[i] = weights_[q + i] + (position - queries_[q + i].first);
      }
      Score<together>(queries, ring_.keys + offset, count, ring_.dim, scores);
    });
  }

  template <int together>
  void AddRange(int q, int64_t first, int64_t last) {
    // Where a value is too wide for the registers it is read in parts, from the first cache.
    constexpr int64_t kPiece = 64;
    ForPieces(first, last, kPiece, [&](int64_t position, int64_t offset, int64_t count) {
      const float* weights[together];
      float* sums[together];
      for (int i = 0; i < together; ++i) {
        weights[i] = weights_[q + i] + (position - queries_[q + i].first);
        sums[i] = sums_[q + i];
      }
      AddWeighted<together>(ring_.values + offset, count, ring_.dim, weights, sums);
    });
  }

  const HeadRing<T>& ring_;
  AttentionQuery<T> queries_[n];
  int64_t first_;  // what all see
  int64_t last_;
  float* weights_[n];
  float* sums_[n];
};

template <int n, typename T>
bool AttendTile(const HeadRing<T>& ring, const AttentionQuery<T>* queries, float scale,
                float* scratch) {
  Tile<n, T> tile(ring, queries, scratch);
  if (!tile.overlaps()) return false;
  tile.Attend(scale);
  return true;
}

template <typename T>
void Attend(const HeadRing<T>& ring, const AttentionQuery<T>* queries, int64_t count, float scale,
            float* scratch) {
  constexpr int kQueries = kSums / 4;  // times the 4 keys of Score
  for (int64_t q = 0; q < count;) {
    if (kQueries > 2 && count - q >= kQueries &&
        AttendTile<kQueries>(ring, queries + q, scale, scratch)) {
      q += kQueries;
    } else if (count - q >= 2 && AttendTile<2>(ring, queries + q, scale, scratch)) {
      q += 2;
    } else {
      AttendTile<1>(ring, queries + q, scale, scratch);
      ++q;
    }
  }
}

template <typename T>
void Rotate(const T* x, const float* cos, const float* sin, int64_t dim, T* y) {
  const auto rotated = [](Vec v, Vec c, Vec s) { return Fma(v, c, SwapPairs(v) * s); };
  int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    Store(rotated(Load(x + i), Load(cos + i), Load(sin + i)), y + i);
  }
  if (i < dim) {
    const int64_t left = dim - i;
    StorePart(rotated(LoadPart(x + i, left), LoadPart(cos + i, left), LoadPart(sin + i, left)),
              y + i, left);
  }
}

template <typename T>
void RmsNorm(const T* x, const float* alpha, int64_t dim, float epsilon, T* y) {
  constexpr int kChains = 4;
  Vec squares[kChains] = {};
  int64_t i = 0;
  for (; i + kChains * kLanes <= dim; i += kChains * kLanes) {
    for (int c = 0; c < kChains; ++c) {
      const Vec v = Load(x + i + c * kLanes);
      squares[c] = Fma(v, v, squares[c]);
    }
  }
  for (; i < dim; i += kLanes) {
    const Vec v = i + kLanes <= dim ? Load(x + i) : LoadPart(x + i, dim - i);
    squares[0] = Fma(v, v, squares[0]);
  }
  const float sum = Sum((squares[0] + squares[1]) + (squares[2] + squares[3]));
  const Vec inverse = Broadcast(1.0F / __builtin_sqrtf(sum / static_cast<float>(dim) + epsilon));
  for (i = 0; i + kLanes <= dim; i += kLanes) {
    Store(Load(x + i) * (Load(alpha + i) * inverse), y + i);
  }
  if (i < dim) {
    const int64_t left = dim - i;
    StorePart(LoadPart(x + i, left) * (LoadPart(alpha + i, left) * inverse), y + i, left);
  }
}

template <typename T>
void SiluGate(const T* a, const T* b, int64_t count, T* y) {
  const auto gated = [](Vec u, Vec v) { return u / (Broadcast(1.0F) + Exp(-u)) * v; };
  for (int64_t i = 0; i < count; i += kPair) {
    const int64_t left = count - i;
    const bool whole = left >= kPair;
    const Pair u = whole ? LoadPair(a + i) : LoadPairPart(a + i, left);
    const Pair v = whole ? LoadPair(b + i) : LoadPairPart(b + i, left);
    const Pair result{gated(u.a, v.a), gated(u.b, v.b)};
    if (whole) {
      Store(result, y + i);
    } else {
      StorePart(result, y + i, left);
    }
  }
}

// In float64, which needs no care for large angles; without branches, so that compilers make
// vectors of it.
void FillRopeAngles(float position, const float* frequencies, int64_t pairs, float* cos,
                    float* sin) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float product = position * frequencies[i];
    const double angle = product;
    // angle = n pi / 2 + r: adding 1.5 * 2^52 rounds to an integer.
    const double shift = 0x1.8p52;
    const double n = (angle * 0.63661977236758134308 + shift) - shift;
    const double r = angle - n * 1.57079632679489661923;
    const double r2 = r * r;
    // The series up to r^11 and r^12: what is left out is below 1e-11 for |r| <= pi / 4.
    const double s =
        r * (1 + r2 * (-1.0 / 6 +
                       r2 * (1.0 / 120 +
                             r2 * (-1.0 / 5040 + r2 * (1.0 / 362880 + r2 * (-1.0 / 39916800))))));
    const double c =
        1 +
        r2 * (-0.5 + r2 * (1.0 / 24 +
                           r2 * (-1.0 / 720 + r2 * (1.0 / 40320 + r2 * (-1.0 / 3628800 +
                                                                        r2 * (1.0 / 479001600))))));
    const auto quarter = static_cast<int32_t>(n);
    const double x = quarter % 2 == 0 ? c : s;
    const double z = quarter % 2 == 0 ? s : c;
    const auto cosine = static_cast<float>(((quarter + 1) & 2) == 0 ? x : -x);
    const auto sine = static_cast<float>((quarter & 2) == 0 ? z : -z);
    cos[2 * i] = cosine;
    cos[2 * i + 1] = cosine;
    sin[2 * i] = -sine;
    sin[2 * i + 1] = sine;
  }
}

template <typename Function>
void ForEach(const float* x, float* y, int64_t count, const Function& function) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(function(Load(x + i)), y + i);
  if (i < count) StorePart(function(LoadPart(x + i, count - i)), y + i, count - i);
}

void Elu(const float* x, float* y, int64_t count) {
  ForEach(x, y, count, [](Vec v) {
    const Vec zero{};
    return v > zero ? v : ExpMinusOne(v > zero ? zero : v);
  });
}

void Gelu(const float* x, float* y, int64_t count) {
  ForEach(x, y, count, [](Vec v) {
    const Vec zero{};
    const Vec tail = NormalTail(v > zero ? v : -v);
    return v * (v > zero ? Broadcast(1.0F) - tail : tail);
  });
}

constexpr LoopSet kLoops{{Attend<float>, Rotate<float>, RmsNorm<float>, SiluGate<float>},
                         {Attend<Bf16>, Rotate<Bf16>, RmsNorm<Bf16>, SiluGate<Bf16>},
                         FillRopeAngles,
                         Elu,
                         Gelu};

}  // namespace
}  // namespace ppx::kernels
