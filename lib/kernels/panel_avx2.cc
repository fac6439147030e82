// The kernels for AVX2, FMA and F16C. As panel_avx512.cc: nothing here may be called on machines
// that lack them, and no function of a header may be left out of line.
//
// Sixteen outputs at a time, in two registers; the sums are those of the portable kernels to the
// bit.
#include <immintrin.h>

#include "kernels/panel.h"
#include "kernels/rows_body.h"

namespace ppx::kernels {
namespace {

constexpr int kHalf = 8;  // outputs of one register

inline __m256i LoadBytes(const std::byte* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

inline __m256i Broadcast4Bytes(const std::byte* from) {
  int32_t value;
  __builtin_memcpy(&value, from, sizeof(value));
  return _mm256_set1_epi32(value);
}

inline __m256 WidenBf16(uint16_t bits) {
  return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int32_t>(uint32_t{bits} << 16)));
}

// Adds 4 products of bytes to each sum. Magnitudes of `a` are at most 127, so no pair overflows 16
// bits.
inline __m256i AddDotBytes(__m256i sum, __m256i a, __m256i b) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(a, b));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

template <int rows>
struct Sums {
  __m256 low[rows];
  __m256 high[rows];

  Sums(const PanelJob& job, int sixteen) {
    for (int r = 0; r < rows; ++r) {
      const float* from = job.sums + r * kPanel + sixteen * kSixteen;
      low[r] = _mm256_loadu_ps(from);
      high[r] = _mm256_loadu_ps(from + kHalf);
    }
  }
  void Store(const PanelJob& job, int sixteen) const {
    for (int r = 0; r < rows; ++r) {
      float* to = job.sums + r * kPanel + sixteen * kSixteen;
      _mm256_storeu_ps(to, low[r]);
      _mm256_storeu_ps(to + kHalf, high[r]);
    }
  }
};

struct F32 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job, int sixteen) {
    Sums<rows> sums(job, sixteen);
    const float* weights = reinterpret_cast<const float*>(job.weights) + sixteen * kSixteen;
    for (int64_t i = 0; i < job.inputs; ++i, weights += sixteens * kSixteen) {
      const __m256 low = _mm256_loadu_ps(weights);
      const __m256 high = _mm256_loadu_ps(weights + kHalf);
      for (int r = 0; r < rows; ++r) {
        const __m256 x = _mm256_set1_ps(reinterpret_cast<const float*>(job.x[r])[i]);
        sums.low[r] = _mm256_fmadd_ps(x, low, sums.low[r]);
        sums.high[r] = _mm256_fmadd_ps(x, high, sums.high[r]);
      }
    }
    sums.Store(job, sixteen);
  }
};

struct BFloat16 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job, int sixteen) {
    const __m256i upper = _mm256_set1_epi32(static_cast<int32_t>(0xffff0000U));
    Sums<rows> sums(job, sixteen);
    const std::byte* weights = job.weights + sixteen * kSixteenBytes;
    for (int64_t i = 0; i < job.inputs; i += 2, weights += sixteens * kSixteenBytes) {
      const __m256i low = LoadBytes(weights);
      const __m256i high = LoadBytes(weights + 32);
      const __m256 low0 = _mm256_castsi256_ps(_mm256_slli_epi32(low, 16));
      const __m256 low1 = _mm256_castsi256_ps(_mm256_and_si256(low, upper));
      const __m256 high0 = _mm256_castsi256_ps(_mm256_slli_epi32(high, 16));
      const __m256 high1 = _mm256_castsi256_ps(_mm256_and_si256(high, upper));
      for (int r = 0; r < rows; ++r) {
        const auto* x = reinterpret_cast<const uint16_t*>(job.x[r]) + i;
        const __m256 x0 = WidenBf16(x[0]);
        const __m256 x1 = WidenBf16(x[1]);
        sums.low[r] = _mm256_fmadd_ps(x0, low0, _mm256_fmadd_ps(x1, low1, sums.low[r]));
        sums.high[r] = _mm256_fmadd_ps(x0, high0, _mm256_fmadd_ps(x1, high1, sums.high[r]));
      }
    }
    sums.Store(job, sixteen);
  }
};

struct Int8 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job, int sixteen) {
    const __m256i offset = _mm256_set1_epi8(-128);
    Sums<rows> sums(job, sixteen);
    const std::byte* weights = job.weights + sixteen * kSixteenBytes;
    for (int64_t begin = 0; begin < job.inputs; begin += kActivationGroup) {
      const int64_t end = Least(job.inputs, begin + kActivationGroup);
      __m256i low[rows];
      __m256i high[rows];
      for (int r = 0; r < rows; ++r) low[r] = high[r] = _mm256_setzero_si256();
      for (int64_t i = begin; i < end; i += 4, weights += sixteens * kSixteenBytes) {
        const __m256i w_low = _mm256_xor_si256(LoadBytes(weights), offset);
        const __m256i w_high = _mm256_xor_si256(LoadBytes(weights + 32), offset);
        for (int r = 0; r < rows; ++r) {
          const __m256i x = Broadcast4Bytes(job.x[r] + i);
          low[r] = AddDotBytes(low[r], w_low, x);
          high[r] = AddDotBytes(high[r], w_high, x);
        }
      }
      for (int r = 0; r < rows; ++r) {
        const __m256 scale = _mm256_set1_ps(job.scales[r][begin / kActivationGroup]);
        sums.low[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(low[r]), scale, sums.low[r]);
        sums.high[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high[r]), scale, sums.high[r]);
      }
    }
    sums.Store(job, sixteen);
  }
};

struct Int4 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job, int sixteen) {
    constexpr int64_t kGroupBytes = InputBytes(WeightForm::kInt4, sixteens * kSixteen, kInt4Group);
    const __m256i low_half = _mm256_set1_epi8(15);
    const __m256i offset = _mm256_set1_epi8(8);
    Sums<rows> sums(job, sixteen);
    __m256 scaled_low[rows];
    __m256 scaled_high[rows];
    const int64_t groups = job.inputs / kInt4Group;
    for (int64_t group = 0; group < groups; ++group) {
      const std::byte* scales = job.weights + group * kGroupBytes + sixteen * kSixteen * 2;
      const std::byte* weights =
          job.weights + group * kGroupBytes + sixteens * kSixteen * 2 + sixteen * kSixteenBytes;
      __m256i low[rows];
      __m256i high[rows];
      for (int r = 0; r < rows; ++r) low[r] = high[r] = _mm256_setzero_si256();
      for (int64_t chunk = 0; chunk < kInt4Group / 8;
           ++chunk, weights += sixteens * kSixteenBytes) {
        const __m256i both_low = LoadBytes(weights);
        const __m256i both_high = LoadBytes(weights + 32);
        for (int part = 0; part < 2; ++part) {
          const __m256i w_low = _mm256_sub_epi8(
              _mm256_and_si256(_mm256_srli_epi32(both_low, 4 * part), low_half), offset);
          const __m256i w_high = _mm256_sub_epi8(
              _mm256_and_si256(_mm256_srli_epi32(both_high, 4 * part), low_half), offset);
          for (int r = 0; r < rows; ++r) {
            const __m256i x =
                Broadcast4Bytes(job.x[r] + group * kInt4Group + chunk * 8 + part * int64_t{4});
            low[r] = AddDotBytes(low[r], w_low, x);
            high[r] = AddDotBytes(high[r], w_high, x);
          }
        }
      }
      const auto* half = reinterpret_cast<const __m128i*>(scales);
      const __m256 scale_low = _mm256_cvtph_ps(_mm_loadu_si128(half));
      const __m256 scale_high = _mm256_cvtph_ps(_mm_loadu_si128(half + 1));
      const int64_t part = group % (kActivationGroup / kInt4Group);
      for (int r = 0; r < rows; ++r) {
        const __m256 wide_low = _mm256_cvtepi32_ps(low[r]);
        const __m256 wide_high = _mm256_cvtepi32_ps(high[r]);
        scaled_low[r] = part == 0 ? _mm256_mul_ps(wide_low, scale_low)
                                  : _mm256_fmadd_ps(wide_low, scale_low, scaled_low[r]);
        scaled_high[r] = part == 0 ? _mm256_mul_ps(wide_high, scale_high)
                                   : _mm256_fmadd_ps(wide_high, scale_high, scaled_high[r]);
        if (part != kActivationGroup / kInt4Group - 1 && group != groups - 1) continue;
        const __m256 x_scale = _mm256_set1_ps(job.scales[r][group * kInt4Group / kActivationGroup]);
        sums.low[r] = _mm256_fmadd_ps(scaled_low[r], x_scale, sums.low[r]);
        sums.high[r] = _mm256_fmadd_ps(scaled_high[r], x_scale, sums.high[r]);
      }
    }
    sums.Store(job, sixteen);
  }
};

template <typename Form, int rows, int sixteens>
void MultiplyRows(const PanelJob& job) {
  for (int sixteen = 0; sixteen < sixteens; ++sixteen) {
    Form::template Multiply<rows, sixteens>(job, sixteen);
  }
}

template <typename Form, int sixteens>
void Multiply(const PanelJob& job) {
  switch (job.rows) {
    case 1:
      return MultiplyRows<Form, 1, sixteens>(job);
    case 2:
      return MultiplyRows<Form, 2, sixteens>(job);
    case 3:
      return MultiplyRows<Form, 3, sixteens>(job);
    case 4:
      return MultiplyRows<Form, 4, sixteens>(job);
    case 5:
      return MultiplyRows<Form, 5, sixteens>(job);
    default:
      return MultiplyRows<Form, 6, sixteens>(job);
  }
}

}  // namespace

const KernelTable kAvx2Kernels{
    {{Multiply<F32, 1>, Multiply<F32, 2>, Multiply<F32, 3>, Multiply<F32, 4>},
     {Multiply<BFloat16, 1>, Multiply<BFloat16, 2>, Multiply<BFloat16, 3>, Multiply<BFloat16, 4>},
     {Multiply<Int8, 1>, Multiply<Int8, 2>, Multiply<Int8, 3>, Multiply<Int8, 4>},
     {Multiply<Int4, 1>, Multiply<Int4, 2>, Multiply<Int4, 3>, Multiply<Int4, 4>}},
    {kTileRows, kTileRows, kTileRows, kTileRows},
    Quantise<float>,
    Quantise<Bf16>,
    Begin,
    Finish<float>,
    Finish<Bf16>};

}  // namespace ppx::kernels
