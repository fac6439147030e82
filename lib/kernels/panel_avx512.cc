// The kernels for AVX-512. This file is compiled for machines that have it: nothing here may be
// called on others, and no function of a header may be left out of line (another file would get it
// from here).
#include <immintrin.h>

#include "kernels/panel.h"
#include "kernels/rows_body.h"

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

// Asks for what comes next, some lines in each turn of a loop, so that memory works while the
// registers do. Without a branch: gcc 12 loses sight of the registers behind one.
class Ahead {
 public:
  // In each of `turns` turns `turn_bytes` of weights are read. A line that is asked for twice costs
  // nothing.
  Ahead(const PanelJob& job, int64_t turns, int64_t turn_bytes)
      : at_(Begin(job.ahead == nullptr ? job.weights : job.ahead)),
        step_(job.ahead == nullptr ? 0 : (turn_bytes + job.tiles - 1) / job.tiles),
        beside_(Begin(job.beside.empty() ? job.weights : job.beside.data())),
        beside_step_(static_cast<int64_t>(job.beside.size()) / turns) {}
  [[gnu::always_inline]] inline void Turn() {
    _mm_prefetch(at_, _MM_HINT_T1);
    _mm_prefetch(at_ + 64, _MM_HINT_T1);
    at_ += step_;
    _mm_prefetch(beside_, _MM_HINT_T1);
    beside_ += beside_step_;
  }

 private:
  static const char* Begin(const std::byte* bytes) { return reinterpret_cast<const char*>(bytes); }

  const char* at_;
  int64_t step_;
  const char* beside_;
  int64_t beside_step_;
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

// sums += value(i) * the scale of the row's activations, i as in Sums.
template <int rows, int sixteens, typename Value>
[[gnu::always_inline]] inline void AddScaled(const PanelJob& job, int64_t group,
                                             const Value& value) {
  Unrolled<rows>([&](auto r) PPX_INLINE {
    const __m512 scale = _mm512_set1_ps(job.scales[r][group]);
    Unrolled<sixteens>([&](auto j) PPX_INLINE {
      constexpr Constant<r * sixteens + j> i;
      float* sums = Sums<rows, sixteens>::At(job, i);
      _mm512_storeu_ps(sums, _mm512_fmadd_ps(value(i), scale, _mm512_loadu_ps(sums)));
    });
  });
}

struct F32 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job) {
    Sums<rows, sixteens> sums(job);
    const Rows<rows> row(job);
    Ahead ahead(job, job.inputs, sixteens * kSixteenBytes);
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
    Ahead ahead(job, job.inputs / 2, sixteens * kSixteenBytes);
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
    const Rows<rows> row(job);
    Ahead ahead(job, job.inputs / 4, sixteens * kSixteenBytes);
    const std::byte* weights = job.weights;
    for (int64_t begin = 0; begin < job.inputs; begin += kActivationGroup) {
      const int64_t group = begin / kActivationGroup;
      const int64_t end = Least(job.inputs, begin + kActivationGroup);
      __m512i dot[rows * sixteens];
      Unrolled<rows>([&](auto r) PPX_INLINE {
        const __m512i start = _mm512_set1_epi32(job.starts[r][group]);
        Unrolled<sixteens>([&](auto j) PPX_INLINE { dot[r * sixteens + j] = start; });
      });
      for (int64_t i = begin; i < end; i += 4) {
        __m512i w[sixteens];
        Unrolled<sixteens>(
            [&](auto j) PPX_INLINE { w[j] = _mm512_loadu_si512(weights + j * kSixteenBytes); });
        Unrolled<rows>([&](auto r) PPX_INLINE {
          const __m512i x = Broadcast4Bytes(row.x[r] + i);
          Unrolled<sixteens>([&](auto j)
                                 PPX_INLINE { AddDotBytes(dot[r * sixteens + j], w[j], x); });
        });
        weights += sixteens * kSixteenBytes;
        ahead.Turn();
      }
      AddScaled<rows, sixteens>(job, group,
                                [&](auto i) PPX_INLINE { return _mm512_cvtepi32_ps(dot[i]); });
    }
  }
};

struct Int4 {
  template <int rows, int sixteens>
  static void Multiply(const PanelJob& job) {
    constexpr int64_t kChunks = kInt4Group / 8;
    const __m512i low_half = _mm512_set1_epi8(15);
    const Rows<rows> row(job);
    Ahead ahead(job, job.inputs / 8, sixteens * (kSixteenBytes + kSixteen * 2 / kChunks));
    const std::byte* weights = job.weights;
    constexpr int64_t kParts = kActivationGroup / kInt4Group;
    const int64_t parts = job.inputs / kInt4Group;
    for (int64_t begin = 0; begin < parts; begin += kParts) {
      __m512 scaled[rows * sixteens];
      Unrolled<rows * sixteens>([&](auto i) PPX_INLINE { scaled[i] = _mm512_setzero_ps(); });
      for (int64_t part = begin; part < Least(parts, begin + kParts); ++part) {
        const std::byte* scales = weights;
        weights += sixteens * kSixteen * 2;
        __m512i dot[rows * sixteens];
        Unrolled<rows>([&](auto r) PPX_INLINE {
          const __m512i start = _mm512_set1_epi32(job.starts[r][part]);
          Unrolled<sixteens>([&](auto j) PPX_INLINE { dot[r * sixteens + j] = start; });
        });
        Unrolled<kChunks>([&](auto chunk) PPX_INLINE {
          __m512i both[sixteens];
          Unrolled<sixteens>([&](auto j) PPX_INLINE {
            both[j] = _mm512_loadu_si512(weights + j * kSixteenBytes);
          });
          Unrolled<2>([&](auto half) PPX_INLINE {
            __m512i w[sixteens];
            Unrolled<sixteens>([&](auto j) PPX_INLINE {
              const __m512i shifted = half == 0 ? both[j] : _mm512_srli_epi32(both[j], 4);
              w[j] = _mm512_and_si512(shifted, low_half);
            });
            Unrolled<rows>([&](auto r) PPX_INLINE {
              const __m512i x =
                  Broadcast4Bytes(row.x[r] + part * kInt4Group + chunk * 8 + half * 4);
              Unrolled<sixteens>([&](auto j)
                                     PPX_INLINE { AddDotBytes(dot[r * sixteens + j], w[j], x); });
            });
          });
          weights += sixteens * kSixteenBytes;
          ahead.Turn();
        });
        Unrolled<sixteens>([&](auto j) PPX_INLINE {
          const __m512 scale = _mm512_cvtph_ps(
              _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales + j * kSixteen * 2)));
          Unrolled<rows>([&](auto r) PPX_INLINE {
            __m512& sum = scaled[r * sixteens + j];
            sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r * sixteens + j]), scale, sum);
          });
        });
      }
      AddScaled<rows, sixteens>(job, begin / kParts, [&](auto i) PPX_INLINE { return scaled[i]; });
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

}  // namespace

const KernelTable kAvx512Kernels{
    {{Multiply<F32, 1>, Multiply<F32, 2>, Multiply<F32, 3>, Multiply<F32, 4>},
     {Multiply<BFloat16, 1>, Multiply<BFloat16, 2>, Multiply<BFloat16, 3>, Multiply<BFloat16, 4>},
     {Multiply<Int8, 1>, Multiply<Int8, 2>, Multiply<Int8, 3>, Multiply<Int8, 4>},
     {Multiply<Int4, 1>, Multiply<Int4, 2>, Multiply<Int4, 3>, Multiply<Int4, 4>}},
    // The sums of int4 are scaled so often that they must stay in registers beside the integers.
    {kTileRows, kTileRows, kTileRows, 3},
    Quantise<float>,
    Quantise<Bf16>,
    Begin,
    Finish<float>,
    Finish<Bf16>};

}  // namespace ppx::kernels
