// The kernels in plain C++: what the others are checked against, and what machines without AVX2
// run.
#include <cmath>
#include <cstring>

#include "kernels/number_formats.h"
#include "kernels/panel.h"
#include "kernels/rows_body.h"

namespace ppx::kernels {
namespace {

template <typename T>
T At(const std::byte* from, int64_t index) {
  T value;
  std::memcpy(&value, from + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

float* SumsOf(const PanelJob& job, int row) { return job.sums + row * kPanel; }

template <int64_t columns>
void MultiplyF32(const PanelJob& job) {
  for (int64_t i = 0; i < job.inputs; ++i) {
    for (int row = 0; row < job.rows; ++row) {
      const auto x = At<float>(job.x[row], i);
      float* sums = SumsOf(job, row);
      for (int64_t c = 0; c < columns; ++c) {
        sums[c] = std::fma(x, At<float>(job.weights, i * columns + c), sums[c]);
      }
    }
  }
}

template <int64_t columns>
void MultiplyBf16(const PanelJob& job) {
  for (int64_t i = 0; i < job.inputs; i += 2) {
    for (int row = 0; row < job.rows; ++row) {
      const float x0 = FromBf16(At<uint16_t>(job.x[row], i));
      const float x1 = FromBf16(At<uint16_t>(job.x[row], i + 1));
      float* sums = SumsOf(job, row);
      for (int64_t c = 0; c < columns; ++c) {
        const int64_t pair = i * columns + c * 2;
        const float sum = std::fma(x1, FromBf16(At<uint16_t>(job.weights, pair + 1)), sums[c]);
        sums[c] = std::fma(x0, FromBf16(At<uint16_t>(job.weights, pair)), sum);
      }
    }
  }
}

template <int64_t columns>
void MultiplyInt8(const PanelJob& job) {
  for (int64_t begin = 0; begin < job.inputs; begin += kActivationGroup) {
    const int64_t inputs = Least(kActivationGroup, job.inputs - begin);
    const std::byte* weights = job.weights + begin * columns;
    for (int row = 0; row < job.rows; ++row) {
      const std::byte* x = job.x[row] + begin;
      const float scale = job.scales[row][begin / kActivationGroup];
      float* sums = SumsOf(job, row);
      for (int64_t c = 0; c < columns; ++c) {
        int32_t sum = 0;
        for (int64_t i = 0; i < inputs; ++i) {
          const int64_t at = (i / 4 * columns + c) * 4 + i % 4;
          sum += (At<uint8_t>(weights, at) - 128) * At<int8_t>(x, i);
        }
        sums[c] = std::fma(static_cast<float>(sum), scale, sums[c]);
      }
    }
  }
}

template <int64_t columns>
void MultiplyInt4(const PanelJob& job) {
  constexpr int64_t kBytes = InputBytes(WeightForm::kInt4, columns, kInt4Group);
  for (int64_t begin = 0; begin < job.inputs; begin += kActivationGroup) {
    const int64_t end = Least(job.inputs, begin + kActivationGroup);
    for (int row = 0; row < job.rows; ++row) {
      const float scale = job.scales[row][begin / kActivationGroup];
      float* sums = SumsOf(job, row);
      for (int64_t c = 0; c < columns; ++c) {
        float scaled = 0;
        for (int64_t part = begin; part < end; part += kInt4Group) {
          const std::byte* x = job.x[row] + part;
          const std::byte* scales = job.weights + part / kInt4Group * kBytes;
          const std::byte* weights = scales + columns * 2;
          int32_t sum = 0;
          for (int64_t i = 0; i < kInt4Group; ++i) {
            const auto byte = At<uint8_t>(weights, (i / 8 * columns + c) * 4 + i % 4);
            sum += ((i % 8 < 4 ? byte & 15 : byte >> 4) - 8) * At<int8_t>(x, i);
          }
          scaled = std::fma(static_cast<float>(sum), FromHalf(At<uint16_t>(scales, c)), scaled);
        }
        sums[c] = std::fma(scaled, scale, sums[c]);
      }
    }
  }
}

}  // namespace

const KernelTable kPortableKernels{
    {{MultiplyF32<16>, MultiplyF32<32>, MultiplyF32<48>, MultiplyF32<64>},
     {MultiplyBf16<16>, MultiplyBf16<32>, MultiplyBf16<48>, MultiplyBf16<64>},
     {MultiplyInt8<16>, MultiplyInt8<32>, MultiplyInt8<48>, MultiplyInt8<64>},
     {MultiplyInt4<16>, MultiplyInt4<32>, MultiplyInt4<48>, MultiplyInt4<64>}},
    {kTileRows, kTileRows, kTileRows, kTileRows},
    Quantise<float>,
    Quantise<Bf16>,
    Begin,
    Finish<float>,
    Finish<Bf16>};

}  // namespace ppx::kernels
