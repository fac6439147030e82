// lib/nn/cuda/number.cuh: float and bfloat16 in memory, and chunks of them that are moved at once.
#pragma once

#include <cstdint>
#include <cstring>

#include "nn/cuda/team.cuh"

namespace ppx::nn::cuda {

struct Bf16 {
  uint16_t bits;
};

PPX_DEVICE uint32_t BitsOf(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
PPX_DEVICE float FloatOfBits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

PPX_DEVICE float ToFloat(float x) { return x; }
PPX_DEVICE float ToFloat(Bf16 x) { return FloatOfBits(static_cast<uint32_t>(x.bits) << 16); }

template <class T>
PPX_DEVICE T FromFloat(float x);
template <>
PPX_DEVICE float FromFloat<float>(float x) {
  return x;
}
// To the nearest, ties to even.
template <>
PPX_DEVICE Bf16 FromFloat<Bf16>(float x) {
  if (x != x) return {0x7fc0};
  const uint32_t bits = BitsOf(x);
  return {static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

// What x is after it was stored as a T.
template <class T>
PPX_DEVICE float Stored(float x) {
  return ToFloat(FromFloat<T>(x));
}

// Eight neighbours, moved as one or two 16-byte words.
inline constexpr int kChunk = 8;
template <class T>
struct alignas(16) Chunk {
  T at[kChunk];
};

PPX_DEVICE int Chunks(int elements) { return (elements + kChunk - 1) / kChunk; }

// Chunk `index` of a row of `elements`; zeros behind its end. Rows of whole chunks must lie at
// multiples of 16 bytes; others may lie anywhere.
template <class T>
PPX_DEVICE Chunk<T> LoadChunk(const T* row, int index, int elements) {
  const T* from = row + index * kChunk;
  if (elements % kChunk == 0) return *reinterpret_cast<const Chunk<T>*>(from);
  Chunk<T> chunk{};
  for (int i = 0; i < kChunk && index * kChunk + i < elements; ++i) chunk.at[i] = from[i];
  return chunk;
}

template <class T>
PPX_DEVICE void StoreChunk(const Chunk<T>& chunk, T* row, int index, int elements) {
  T* to = row + index * kChunk;
  if (elements % kChunk == 0) {
    *reinterpret_cast<Chunk<T>*>(to) = chunk;
    return;
  }
  for (int i = 0; i < kChunk && index * kChunk + i < elements; ++i) to[i] = chunk.at[i];
}

}  // namespace ppx::nn::cuda
