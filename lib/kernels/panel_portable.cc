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
  for (int64_t group = 0; group < job.inputs / kActivationGroup; ++group) {
    const std::byte* weights = job.weights + group * kActivationGroup * columns;
    for (int row = 0; row < job.rows; ++row) {
      const std::byte* x = job.x[row] + group * kActivationGroup;
      float* sums = SumsOf(job, row);
      for (int64_t c = 0; c < columns; ++c) {
        int32_t sum = 0;
        for (int64_t i = 0; i < kActivationGroup; ++i) {
          const int64_t at = (i / 4 * columns + c) * 4 + i % 4;
          sum += (At<uint8_t>(weights, at) - 128) * At<int8_t>(x, i);
        }
        sums[c] = std::fma(static_cast<float>(sum), job.scales[row][group], sums[c]);
      }
    }
  }
}

template <int64_t columns>
void MultiplyInt4(const PanelJob& job) {
  constexpr int64_t kBytes = InputBytes(WeightForm::kInt4, columns, kInt4Group);
  constexpr int64_t kParts = kActivationGroup / kInt4Group;
  for (int64_t group = 0; group < job.inputs / kActivationGroup; ++group) {
    for (int row = 0; row < job.rows; ++row) {
      const std::byte* x = job.x[row] + group * kActivationGroup;
      float* sums = SumsOf(job, row);
      for (int64_t c = 0; c < columns; ++c) {
        float scaled = 0;
        for (int64_t part = 0; part < kParts; ++part) {
          const std::byte* scales = job.weights + (group * kParts + part) * kBytes;
          const std::byte* weights = scales + columns * 2;
          int32_t sum = 0;
          for (int64_t i = 0; i < kInt4Group; ++i) {
            const auto byte = At<uint8_t>(weights, (i / 8 * columns + c) * 4 + i % 4);
            sum += ((i % 8 < 4 ? byte & 15 : byte >> 4) - 8) * At<int8_t>(x, part * kInt4Group + i);
          }
          scaled = std::fma(static_cast<float>(sum), FromHalf(At<uint16_t>(scales, c)), scaled);
        }
        sums[c] = std::fma(scaled, job.scales[row][group], sums[c]);
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
