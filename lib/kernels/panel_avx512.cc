// The kernels for AVX-512. This file is compiled for machines that have it: nothing here may be
// called on others, and no function of a header may be left out of line (another file would get it
// from here).
#include <immintrin.h>

#include "kernels/panel.h"

namespace ppx::kernels {
namespace {

// gcc 12 copies the accumulator around the intrinsics of these two.
inline void AddDotBytes(__m512i& sum, __m512i unsigned_bytes, __m512i signed_bytes) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes));
}
inline void AddDotBf16(__m512& sum, __m512i a, __m512i b) {
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
}

inline __m512i Broadcast4Bytes(const std::byte* from) {
  int32_t value;
  __builtin_memcpy(&value, from, sizeof(value));
  return _mm512_set1_epi32(value);
}

// Calls f(0), ..., f(n - 1) with indices that are constants: only then do arrays of registers stay
// in registers.
template <int index>
struct Constant {
  constexpr operator int() const { return index; }
};
template <int n, typename F>
[[gnu::always_inline]] inline void Unrolled(const F& f) {
  if constexpr (n > 0) {
    Unrolled<n - 1>(f);
    f(Constant<n - 1>());
  }
}
#define PPX_INLINE __attribute__((always_inline))

// Asks for what comes next, a few lines at a time, so that memory works while the registers do.
class Ahead {
 public:
  Ahead(const PanelJob& job, int64_t turns)
      : at_(reinterpret_cast<const char*>(job.ahead)),
        left_(job.ahead_bytes / 64),
        each_((left_ + turns - 1) / turns) {}
  [[gnu::always_inline]] inline void Turn() {
    if (left_ <= 0) return;
    left_ -= each_;
    for (int64_t i = 0; i < each_; ++i, at_ += 64) _mm_prefetch(at_, _MM_HINT_T1);
  }

 private:
  const char* at_;
  int64_t left_;
  int64_t each_;
};

// The rows' inputs, where a register can hold the address.
template <int rows>
struct Rows {
  const std::byte* x[rows];
  explicit Rows(const PanelJob& job) {
    Unrolled<rows>([&](auto r) PPX_INLINE { x[r] = job.x[r]; });
  }
};

template <int rows, int sixteens>
struct Sums {
  __m512 sum[rows * sixteens];

  explicit Sums(const PanelJob& job) {
    Unrolled<rows * sixteens>([&](auto i) PPX_INLINE { sum[i] = _mm512_loadu_ps(At(job, i)); });
  }
  void Store(const PanelJob& job) const {
    Unrolled<rows * sixteens>([&](auto i) PPX_INLINE { _mm512_storeu_ps(At(job, i), sum[i]); });
  }
  static float* At(const PanelJob& job, int i) {
    return job.sums + i / sixteens * kPanel + i % sixteens * kSixteen;
  }
};

struct F32 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job) {
    Sums<rows, sixteens> sums(job);
    const Rows<rows> row(job);
    Ahead ahead(job, job.inputs);
    const auto* weights = reinterpret_cast<const float*>(job.weights);
    for (int64_t i = 0; i < job.inputs; ++i, weights += sixteens * kSixteen) {
      __m512 w[sixteens];
      Unrolled<sixteens>([&](auto j)
                             PPX_INLINE { w[j] = _mm512_loadu_ps(weights + j * kSixteen); });
      Unrolled<rows>([&](auto r) PPX_INLINE {
        const __m512 x = _mm512_set1_ps(reinterpret_cast<const float*>(row.x[r])[i]);
        Unrolled<sixteens>([&](auto j) PPX_INLINE {
          __m512& sum = sums.sum[r * sixteens + j];
          sum = _mm512_fmadd_ps(x, w[j], sum);
        });
      });
      ahead.Turn();
    }
    sums.Store(job);
  }
};

struct BFloat16 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job) {
    Sums<rows, sixteens> sums(job);
    const Rows<rows> row(job);
    Ahead ahead(job, job.inputs / 2);
    const std::byte* weights = job.weights;
    for (int64_t i = 0; i < job.inputs / 2; ++i, weights += sixteens * kSixteenBytes) {
      __m512i w[sixteens];
      Unrolled<sixteens>(
          [&](auto j) PPX_INLINE { w[j] = _mm512_loadu_si512(weights + j * kSixteenBytes); });
      Unrolled<rows>([&](auto r) PPX_INLINE {
        const __m512i x = Broadcast4Bytes(row.x[r] + i * 4);
        Unrolled<sixteens>([&](auto j)
                               PPX_INLINE { AddDotBf16(sums.sum[r * sixteens + j], x, w[j]); });
      });
      ahead.Turn();
    }
    sums.Store(job);
  }
};

struct Int8 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job) {
    constexpr int64_t kSteps = kActivationGroup / 4;
    constexpr int64_t kParts = kActivationGroup / kInt4Group;
    const Rows<rows> row(job);
    Ahead ahead(job, job.inputs / 4);
    const std::byte* weights = job.weights;
    for (int64_t group = 0; group < job.inputs / kActivationGroup; ++group) {
      __m512i dot[rows * sixteens];
      Unrolled<rows>([&](auto r) PPX_INLINE {
        // Weights come as q + 128: what that adds is known beforehand.
        int32_t sum = 0;
        for (int64_t part = 0; part < kParts; ++part) {
          sum += job.group_sums[r][group * kParts + part];
        }
        const __m512i start = _mm512_set1_epi32(-128 * sum);
        Unrolled<sixteens>([&](auto j) PPX_INLINE { dot[r * sixteens + j] = start; });
      });
      for (int64_t i = 0; i < kSteps; ++i, weights += sixteens * kSixteenBytes) {
        __m512i w[sixteens];
        Unrolled<sixteens>(
            [&](auto j) PPX_INLINE { w[j] = _mm512_loadu_si512(weights + j * kSixteenBytes); });
        Unrolled<rows>([&](auto r) PPX_INLINE {
          const __m512i x = Broadcast4Bytes(row.x[r] + (group * kSteps + i) * 4);
          Unrolled<sixteens>([&](auto j)
                                 PPX_INLINE { AddDotBytes(dot[r * sixteens + j], w[j], x); });
        });
        ahead.Turn();
      }
      Unrolled<rows * sixteens>([&](auto i) PPX_INLINE {
        float* sums = Sums<rows, sixteens>::At(job, i);
        const __m512 scale = _mm512_set1_ps(job.scales[i / sixteens][group]);
        _mm512_storeu_ps(sums,
                         _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i]), scale, _mm512_loadu_ps(sums)));
      });
    }
  }
};

struct Int4 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job) {
    constexpr int64_t kChunks = kInt4Group / 8;
    const __m512i low_half = _mm512_set1_epi8(15);
    const Rows<rows> row(job);
    Ahead ahead(job, job.inputs / 8);
    const std::byte* weights = job.weights;
    __m512 scaled[rows * sixteens];
    for (int64_t group = 0; group < job.inputs / kInt4Group; ++group) {
      const std::byte* scales = weights;
      weights += sixteens * kSixteen * 2;
      __m512i dot[rows * sixteens];
      Unrolled<rows>([&](auto r) PPX_INLINE {
        const __m512i start = _mm512_set1_epi32(-8 * job.group_sums[r][group]);
        Unrolled<sixteens>([&](auto j) PPX_INLINE { dot[r * sixteens + j] = start; });
      });
      for (int64_t chunk = 0; chunk < kChunks; ++chunk, weights += sixteens * kSixteenBytes) {
        const int64_t at = group * kInt4Group + chunk * 8;
        __m512i w[sixteens];
        Unrolled<sixteens>([&](auto j) PPX_INLINE {
          w[j] = _mm512_and_si512(_mm512_loadu_si512(weights + j * kSixteenBytes), low_half);
        });
        Unrolled<rows>([&](auto r) PPX_INLINE {
          const __m512i x = Broadcast4Bytes(row.x[r] + at);
          Unrolled<sixteens>([&](auto j)
                                 PPX_INLINE { AddDotBytes(dot[r * sixteens + j], w[j], x); });
        });
        Unrolled<sixteens>([&](auto j) PPX_INLINE {
          w[j] = _mm512_and_si512(
              _mm512_srli_epi32(_mm512_loadu_si512(weights + j * kSixteenBytes), 4), low_half);
        });
        Unrolled<rows>([&](auto r) PPX_INLINE {
          const __m512i x = Broadcast4Bytes(row.x[r] + at + 4);
          Unrolled<sixteens>([&](auto j)
                                 PPX_INLINE { AddDotBytes(dot[r * sixteens + j], w[j], x); });
        });
        ahead.Turn();
      }
      const int64_t part = group % (kActivationGroup / kInt4Group);
      Unrolled<sixteens>([&](auto j) PPX_INLINE {
        const __m512 scale = _mm512_cvtph_ps(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales + j * kSixteen * 2)));
        Unrolled<rows>([&](auto r) PPX_INLINE {
          const __m512 wide = _mm512_cvtepi32_ps(dot[r * sixteens + j]);
          __m512& sum = scaled[r * sixteens + j];
          sum = part == 0 ? _mm512_mul_ps(wide, scale) : _mm512_fmadd_ps(wide, scale, sum);
        });
      });
      if (part != kActivationGroup / kInt4Group - 1) continue;
      Unrolled<rows * sixteens>([&](auto i) PPX_INLINE {
        float* sums = Sums<rows, sixteens>::At(job, i);
        const __m512 x_scale =
            _mm512_set1_ps(job.scales[i / sixteens][group * kInt4Group / kActivationGroup]);
        _mm512_storeu_ps(sums, _mm512_fmadd_ps(scaled[i], x_scale, _mm512_loadu_ps(sums)));
      });
    }
  }
};

template <typename Form, int sixteens>
void Multiply(const PanelJob& job) {
  switch (job.rows) {
    case 1:
      return Form::template Multiply<1, sixteens>(job);
    case 2:
      return Form::template Multiply<2, sixteens>(job);
    case 3:
      return Form::template Multiply<3, sixteens>(job);
    case 4:
      return Form::template Multiply<4, sixteens>(job);
    case 5:
      return Form::template Multiply<5, sixteens>(job);
    default:
      return Form::template Multiply<6, sixteens>(job);
  }
}

void Quantise(const float* x, int64_t inputs, int8_t* q, float* scales, int32_t* sums) {
  for (int64_t begin = 0; begin < inputs; begin += kActivationGroup) {
    __m512 values[kActivationGroup / kSixteen];
    __m512 highest = _mm512_setzero_ps();
    for (int64_t part = 0; part < kActivationGroup / kSixteen; ++part) {
      const int64_t left = inputs - begin - part * kSixteen;
      const auto mask = left >= kSixteen ? __mmask16{0xffff}
                        : left <= 0      ? __mmask16{0}
                                         : static_cast<__mmask16>((1U << left) - 1);
      values[part] = _mm512_maskz_loadu_ps(mask, x + begin + part * kSixteen);
      highest = _mm512_max_ps(highest, _mm512_abs_ps(values[part]));
    }
    const float most = _mm512_reduce_max_ps(highest);
    const __m512 inverse = _mm512_set1_ps(most > 0 ? 127 / most : 0);
    scales[begin / kActivationGroup] = most / 127;
    for (int64_t part = 0; part < kActivationGroup / kSixteen; ++part) {
      const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(values[part], inverse));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(q + begin + part * kSixteen),
                       _mm512_cvtepi32_epi8(rounded));
      const int32_t sum = _mm512_reduce_add_epi32(rounded);
      int32_t& group = sums[(begin + part * kSixteen) / kInt4Group];
      group = part % 2 == 0 ? sum : group + sum;
    }
  }
}

}  // namespace

const KernelTable kAvx512Kernels{
    {{Multiply<F32, 1>, Multiply<F32, 2>, Multiply<F32, 3>, Multiply<F32, 4>},
     {Multiply<BFloat16, 1>, Multiply<BFloat16, 2>, Multiply<BFloat16, 3>, Multiply<BFloat16, 4>},
     {Multiply<Int8, 1>, Multiply<Int8, 2>, Multiply<Int8, 3>, Multiply<Int8, 4>},
     {Multiply<Int4, 1>, Multiply<Int4, 2>, Multiply<Int4, 3>, Multiply<Int4, 4>}},
    Quantise};

}  // namespace ppx::kernels
