// lib/kernels/rows_body.h: inside this library: what happens to rows before and after a product, in
// vectors as wide as the including file is compiled for (vectors.h). The same bits everywhere.
#pragma once

#include <cstdint>

#include "kernels/panel.h"
#include "kernels/vectors.h"

namespace ppx::kernels {
namespace {

template <typename T>
void Quantise(const QuantisedRow& row) {
  const auto* x = static_cast<const T*>(row.x);
  // A sum with it has the nearest integer in its last bits: magnitudes of at most 127.
  const Vec shift = Broadcast(0x1.8p23F);
  for (int64_t begin = 0; begin < row.padded_inputs; begin += kActivationGroup) {
    const int64_t here = Least(kActivationGroup, row.padded_inputs - begin);
    alignas(64) float values[kActivationGroup];
    Vec highest{};
    for (int64_t i = 0; i < here; i += kLanes) {
      const int64_t left = row.inputs - begin - i;
      const Vec value = left >= kLanes ? Load(x + begin + i)
                        : left > 0     ? LoadPart(x + begin + i, left)
                                       : Vec{};
      Store(value, values + i);
      const Words magnitude = __builtin_bit_cast(Words, value) & 0x7fffffffU;
      highest = Max(highest, __builtin_bit_cast(Vec, magnitude));
    }
    const float most = Largest(highest);
    const Vec inverse = Broadcast(most > 0 ? 127 / most : 0);
    row.scales[begin / kActivationGroup] = most / 127;
    int32_t* starts = row.starts + begin / row.start_inputs;
    for (int64_t part = 0; part < here; part += row.start_inputs) {
      Vec sum{};  // exact: integers below 2^24
      for (int64_t i = part; i < Least(here, part + row.start_inputs); i += kLanes) {
        const Vec shifted = Load(values + i) * inverse + shift;
        sum += shifted - shift;
        const Bytes bytes = LowBytes(__builtin_bit_cast(Words, shifted));
        __builtin_memcpy(row.q + begin + i, &bytes, sizeof(bytes));
      }
      *starts++ = -row.zero_point * static_cast<int32_t>(Sum(sum));
    }
  }
}

void Begin(int64_t rows, const float* bias, float* sums) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < kPanel; c += kLanes) {
      Store(bias == nullptr ? Vec{} : Load(bias + c), sums + row * kPanel + c);
    }
  }
}

template <typename T>
void Finish(const PanelResult& result) {
  for (int64_t row = 0; row < result.rows; ++row) {
    T* y = static_cast<T*>(result.y) + row * result.y_stride;
    for (int64_t c = 0; c < result.columns; c += kLanes) {
      Vec sum = Load(result.sums + row * kPanel + c);
      if (result.scales != nullptr) sum = sum * Load(result.scales + c) + Load(result.bias + c);
      const int64_t left = result.columns - c;
      if (left >= kLanes) {
        Store(sum, y + c);
      } else {
        StorePart(sum, y + c, left);
      }
    }
  }
}

}  // namespace
}  // namespace ppx::kernels
