// lib/kernels/number_formats.h: bfloat16 and float16 as bits, rounded to the nearest, ties to even.
#pragma once

#include <bit>
#include <cstdint>

namespace ppx::kernels {

inline float FromBf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline uint16_t ToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  // A NaN could be rounded to an infinity.
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>((bits >> 16) | 64);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1)) >> 16);
}

inline float FromHalf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t magnitude = half & 0x7fffU;
  // As a float32 with the same fields it is 2^112 times too small; infinities and NaNs apart.
  const auto scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112F;
  const uint32_t bits =
      magnitude >= 0x7c00U ? (magnitude << 13) | 0x7f800000U : std::bit_cast<uint32_t>(scaled);
  return std::bit_cast<float>(sign | bits);
}

inline uint16_t ToHalf(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<uint16_t>(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return static_cast<uint16_t>(sign | 0x7c00U);  // 65520 and more
  if (magnitude < 0x38800000U) {
    // Below the smallest normal one: the sum with 0.5 leaves what counts in the last bits.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000U));
  }
  const uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1) - 0x38000000U;
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

}  // namespace ppx::kernels
