#include "bench/register_rate.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "bench/machine.h"
#include "kernels/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ppx::bench {
namespace {

constexpr int64_t kTurns = 4'000'000;
constexpr int kMeasurements = 3;

// A loop of kTurns turns on every thread; `operations` of one turn.
double Rate(int threads, double operations, void (*loop)(int64_t turns)) {
  double best = 0;
  for (int i = 0; i < kMeasurements; ++i) {
    const double begin = Now();
    std::vector<std::thread> workers;
    for (int thread = 0; thread < threads; ++thread) workers.emplace_back(loop, kTurns);
    for (std::thread& worker : workers) worker.join();
    best = std::max(best, operations * static_cast<double>(kTurns) * threads / (Now() - begin));
  }
  return best;
}

#if defined(__x86_64__)
// Twelve sums, so that none waits for itself.
#define PPX_TWELVE(one) \
  one(0) one(1) one(2) one(3) one(4) one(5) one(6) one(7) one(8) one(9) one(10) one(11)
#define PPX_START(i) auto sum##i = zero;
#define PPX_USE(i) asm volatile("" : : "v"(sum##i));

__attribute__((target("avx512f"))) void F32Wide(int64_t turns) {
  const __m512 zero = _mm512_setzero_ps();
  const __m512 one = _mm512_set1_ps(1);
  PPX_TWELVE(PPX_START)
  for (int64_t turn = 0; turn < turns; ++turn) {
#define PPX_STEP(i) asm volatile("vfmadd231ps %1, %1, %0" : "+v"(sum##i) : "v"(one));
    PPX_TWELVE(PPX_STEP)
#undef PPX_STEP
  }
  PPX_TWELVE(PPX_USE)
}

__attribute__((target("avx2,fma"))) void F32(int64_t turns) {
  const __m256 zero = _mm256_setzero_ps();
  const __m256 one = _mm256_set1_ps(1);
  PPX_TWELVE(PPX_START)
  for (int64_t turn = 0; turn < turns; ++turn) {
#define PPX_STEP(i) asm volatile("vfmadd231ps %1, %1, %0" : "+x"(sum##i) : "x"(one));
    PPX_TWELVE(PPX_STEP)
#undef PPX_STEP
  }
#define PPX_USE_YMM(i) asm volatile("" : : "x"(sum##i));
  PPX_TWELVE(PPX_USE_YMM)
}

__attribute__((target("avx512f"))) void Bf16(int64_t turns) {
  const __m512 zero = _mm512_setzero_ps();
  const __m512i ones = _mm512_set1_epi16(0x3f80);
  PPX_TWELVE(PPX_START)
  for (int64_t turn = 0; turn < turns; ++turn) {
#define PPX_STEP(i) asm volatile("vdpbf16ps %1, %1, %0" : "+v"(sum##i) : "v"(ones));
    PPX_TWELVE(PPX_STEP)
#undef PPX_STEP
  }
  PPX_TWELVE(PPX_USE)
}

__attribute__((target("avx512f"))) void Int8(int64_t turns) {
  const __m512i zero = _mm512_setzero_si512();
  const __m512i ones = _mm512_set1_epi8(1);
  PPX_TWELVE(PPX_START)
  for (int64_t turn = 0; turn < turns; ++turn) {
#define PPX_STEP(i) asm volatile("vpdpbusd %1, %1, %0" : "+v"(sum##i) : "v"(ones));
    PPX_TWELVE(PPX_STEP)
#undef PPX_STEP
  }
  PPX_TWELVE(PPX_USE)
}
#endif

}  // namespace

RegisterRates MeasureRegisterRates(int threads) {
  RegisterRates rates;
#if defined(__x86_64__)
  constexpr double kSums = 12;
  if (kernels::BestIsa() == kernels::Isa::kAvx512) {
    rates.f32 = Rate(threads, kSums * 16 * 2, F32Wide);
    rates.bf16 = Rate(threads, kSums * 32 * 2, Bf16);
    rates.int8 = Rate(threads, kSums * 64 * 2, Int8);
  } else if (kernels::BestIsa() == kernels::Isa::kAvx2) {
    rates.f32 = Rate(threads, kSums * 8 * 2, F32);
  }
#endif
  return rates;
}

}  // namespace ppx::bench
