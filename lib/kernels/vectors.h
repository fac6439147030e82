// lib/kernels/vectors.h: inside this library: float32 vectors as wide as the including file is
// compiled for. Everything has internal linkage: another file must not get this one's code.
//
// Vectors are those of gcc and clang, with operators; only what these lack is written for each
// instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/matmul.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace ppx::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
constexpr int kSums = 16;  // registers that a loop may keep sums in
#elif defined(__AVX2__)
constexpr int64_t kLanes = 8;
constexpr int kSums = 8;
#else
constexpr int64_t kLanes = 4;
constexpr int kSums = 8;
#endif

constexpr int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t Most(int64_t a, int64_t b) { return a > b ? a : b; }

using Vec = float __attribute__((vector_size(kLanes * 4)));
using Words = uint32_t __attribute__((vector_size(kLanes * 4)));
using Halves = uint16_t __attribute__((vector_size(kLanes * 2)));
using Bytes = uint8_t __attribute__((vector_size(kLanes)));
using Four = float __attribute__((vector_size(16)));

#if defined(__AVX512F__)

inline Vec Broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec Fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec Max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
// x1, x0, x3, x2, ...
inline Vec SwapPairs(Vec x) { return _mm512_permute_ps(x, 0xb1); }
inline __m256 Fold(Vec x) {
  return __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
         __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
}
// gcc 12 converts element by element; and in sanitized builds it warns of a variable inside the
// intrinsics without a mask (its bug 105593).
inline Words Widen(Halves x) {
  return __builtin_bit_cast(Words,
                            _mm512_maskz_cvtepu16_epi32(0xffff, __builtin_bit_cast(__m256i, x)));
}
inline Halves LowHalves(Words x) {
  return __builtin_bit_cast(Halves,
                            _mm512_maskz_cvtepi32_epi16(0xffff, __builtin_bit_cast(__m512i, x)));
}
inline Bytes LowBytes(Words x) {
  return __builtin_bit_cast(Bytes,
                            _mm512_maskz_cvtepi32_epi8(0xffff, __builtin_bit_cast(__m512i, x)));
}

#elif defined(__AVX2__)

inline Vec Broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec Fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec Max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec SwapPairs(Vec x) { return _mm256_permute_ps(x, 0xb1); }
inline __m256 Fold(Vec x) { return x; }
inline Words Widen(Halves x) {
  return __builtin_bit_cast(Words, _mm256_cvtepu16_epi32(__builtin_bit_cast(__m128i, x)));
}
// The first `count` bytes of each half of x, one after the other, when `order` has put them there.
template <int count>
inline __m128i JoinHalves(Words x, __m128i order) {
  const __m256i parts =
      _mm256_shuffle_epi8(__builtin_bit_cast(__m256i, x), _mm256_broadcastsi128_si256(order));
  const __m128i low = _mm256_castsi256_si128(parts);
  const __m128i high = _mm256_extracti128_si256(parts, 1);
  return count == 8 ? _mm_unpacklo_epi64(low, high) : _mm_unpacklo_epi32(low, high);
}
inline Halves LowHalves(Words x) {
  const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1);
  return __builtin_bit_cast(Halves, JoinHalves<8>(x, order));
}
inline Bytes LowBytes(Words x) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  return __builtin_bit_cast(Bytes, _mm_cvtsi128_si64(JoinHalves<4>(x, order)));
}

#else

inline Vec Broadcast(float x) { return Vec{x, x, x, x}; }
inline Vec Fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec Max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec SwapPairs(Vec x) { return Vec{x[1], x[0], x[3], x[2]}; }
inline Words Widen(Halves x) { return __builtin_convertvector(x, Words); }
inline Halves LowHalves(Words x) { return __builtin_convertvector(x, Halves); }
inline Bytes LowBytes(Words x) { return __builtin_convertvector(x, Bytes); }

#endif

// The sums of the elements of four vectors.
inline Four SumEach(Vec a, Vec b, Vec c, Vec d) {
#if defined(__AVX2__)
  const __m256 pairs =
      _mm256_hadd_ps(_mm256_hadd_ps(Fold(a), Fold(b)), _mm256_hadd_ps(Fold(c), Fold(d)));
  return _mm_add_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
#else
  const auto sum = [](Vec x) { return (x[0] + x[1]) + (x[2] + x[3]); };
  return Four{sum(a), sum(b), sum(c), sum(d)};
#endif
}

inline float Sum(Vec x) { return SumEach(x, x, x, x)[0]; }

inline float Largest(Vec x) {
  float largest = x[0];
  for (int64_t i = 1; i < kLanes; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

inline Vec Load(const float* from) {
  Vec x;
  __builtin_memcpy(&x, from, sizeof(x));
  return x;
}
inline Vec Load(const Bf16* from) {
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof(halves));
  return __builtin_bit_cast(Vec, Widen(halves) << 16);
}

// Rounded to bfloat16, to the nearest, ties to even; what follows the upper half is undefined.
inline Words Rounded(Vec x) {
  const Words bits = __builtin_bit_cast(Words, x);
  // A NaN could be rounded to an infinity.
  return x != x ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1);
}

inline void Store(Vec x, float* to) { __builtin_memcpy(to, &x, sizeof(x)); }
inline void Store(Vec x, Bf16* to) {
  const Halves halves = LowHalves(Rounded(x) >> 16);
  __builtin_memcpy(to, &halves, sizeof(halves));
}

// Two vectors of neighbours, in the order that costs least: of bfloat16 the even elements and the
// odd ones.
struct Pair {
  Vec a, b;
};
constexpr int64_t kPair = 2 * kLanes;

inline Pair LoadPair(const float* from) { return {Load(from), Load(from + kLanes)}; }
inline Pair LoadPair(const Bf16* from) {
  Words words;
  __builtin_memcpy(&words, from, sizeof(words));
  return {__builtin_bit_cast(Vec, words << 16), __builtin_bit_cast(Vec, words & 0xffff0000U)};
}
inline void Store(Pair x, float* to) {
  Store(x.a, to);
  Store(x.b, to + kLanes);
}
inline void Store(Pair x, Bf16* to) {
  const Words words = (Rounded(x.a) >> 16) | (Rounded(x.b) & 0xffff0000U);
  __builtin_memcpy(to, &words, sizeof(words));
}

// The first `count` elements, fewer than are loaded otherwise; the others are zeros.
template <typename T>
Vec LoadPart(const T* from, int64_t count) {
  T part[kLanes] = {};
  __builtin_memcpy(part, from, static_cast<size_t>(count) * sizeof(T));
  return Load(part);
}
template <typename T>
Pair LoadPairPart(const T* from, int64_t count) {
  T part[kPair] = {};
  __builtin_memcpy(part, from, static_cast<size_t>(count) * sizeof(T));
  return LoadPair(part);
}
template <typename Vectors, typename T>
void StorePart(Vectors x, T* to, int64_t count) {
  T part[sizeof(Vectors) / sizeof(float)];
  Store(x, part);
  __builtin_memcpy(to, part, static_cast<size_t>(count) * sizeof(T));
}

// e^x with a relative error below 2e-7 for x in [-87, 88]; 0 below, no more than an infinity above.
inline Vec Exp(Vec x) {
  // x = n ln 2 + r: adding 1.5 * 2^23 rounds to an integer, which lies in the sum's last bits.
  const Vec shift = Broadcast(0x1.8p23F);
  const Vec most = Broadcast(88.5F);
  const Vec limited = x > most ? most : x;
  const Vec shifted = Fma(limited, Broadcast(0x1.715476p0F), shift);
  const Vec n = shifted - shift;
  Vec r = Fma(n, Broadcast(-0x1.62e4p-1F), limited);  // ln 2 in two parts, the first one exact in n
  r = Fma(n, Broadcast(-0x1.7f7d1cp-20F), r);
  // The series up to r^7 / 7!: what is left out is below 6e-9 for |r| <= ln 2 / 2.
  Vec y = Broadcast(1.0F / 5040);
  for (const float factor : {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F}) {
    y = Fma(y, r, Broadcast(factor));
  }
  const Words power = (__builtin_bit_cast(Words, shifted) << 23) + 0x3f800000U;
  y *= __builtin_bit_cast(Vec, power);
  return x < Broadcast(-87.0F) ? Vec{} : y;
}

// The normal distribution's function at -a, a >= 0: half of erfc(z), z = a / sqrt(2). A polynomial
// in t = 1 / (1 + 0.4 z), fitted to exp(z^2) erfc(z) / t: 6e-8 of itself off for z <= 9.5, beyond
// which Exp gives zeros.
inline Vec NormalTail(Vec a) {
  const Vec one = Broadcast(1.0F);
  const Vec t = one / Fma(a, Broadcast(0.282842712F), one);
  Vec sum = Broadcast(0.04026826F);
  for (const float factor : {-0.13547476F, 0.07384963F, 0.09972111F, 0.07151404F, 0.19696063F,
                             0.20095918F, 0.22657563F, 0.22562630F}) {
    sum = Fma(sum, t, Broadcast(factor));
  }
  return Broadcast(0.5F) * t * sum * Exp(Broadcast(-0.5F) * a * a);
}

// e^x - 1 of x <= 0, to within 2 units in the last place. With x = n ln 2 + r it is
// 2^n (e^r - 1) + (2^n - 1), which is exact near 0 too. Rounded after each operation: the same bits
// for vectors of any width.
inline Vec ExpMinusOne(Vec x) {
  const Vec lowest = Broadcast(-32.0F);  // where the result has become -1
  const Vec shift = Broadcast(0x1.8p23F);
  const Vec clamped = x < lowest ? lowest : x;
  const Vec shifted = clamped * Broadcast(1.44269504F) + shift;
  const Vec n = shifted - shift;
  const Words power_bits = (__builtin_bit_cast(Words, shifted) << 23) + 0x3f800000U;
  const Vec power = __builtin_bit_cast(Vec, power_bits);
  const Vec r = (clamped - n * Broadcast(0x1.62e4p-1F)) - n * Broadcast(0x1.7f7d1cp-20F);
  Vec sum = Broadcast(1.0F / 5040);
  for (const float factor : {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F}) {
    sum = sum * r + Broadcast(factor);
  }
  return power * (r + r * r * sum) + (power - Broadcast(1.0F));
}

}  // namespace
}  // namespace ppx::kernels
