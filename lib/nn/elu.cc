#include "nn/elu.h"

#include <bit>

// Function clones for wider vectors, chosen when the program starts. Sanitizers instrument the code
// that chooses, which runs before they are ready, so sanitized builds take the plain one.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PPX_VECTOR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PPX_VECTOR_CLONES
#endif

namespace ppx::nn {
namespace {

// Of x <= 0: with x = n ln 2 + r it is 2^n (exp(r) - 1) + (2^n - 1), which is exact near 0 too.
inline float ExpMinusOne(float x) {
  constexpr float kLowest = -32;  // where the result has become -1
  constexpr float kLog2E = 1.44269504F;
  constexpr float kLn2High = 0x1.62e4p-1F;  // n times it is exact
  constexpr float kLn2Low = 0x1.7f7d1cp-20F;
  constexpr float kRounding = 0x1.8p23F;  // leaves the nearest whole number in the last bits
  const float clamped = x < kLowest ? kLowest : x;
  const float shifted = clamped * kLog2E + kRounding;
  const float n = shifted - kRounding;
  const float power = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000U);
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float sum = 1.0F / 5040;
  sum = sum * r + 1.0F / 720;
  sum = sum * r + 1.0F / 120;
  sum = sum * r + 1.0F / 24;
  sum = sum * r + 1.0F / 6;
  sum = sum * r + 0.5F;
  return power * (r + r * r * sum) + (power - 1);
}

}  // namespace

PPX_VECTOR_CLONES
void Elu(const float* x, float* y, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float below = ExpMinusOne(x[i] > 0 ? 0 : x[i]);
    y[i] = x[i] > 0 ? x[i] : below;
  }
}

}  // namespace ppx::nn
