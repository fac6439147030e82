// lib/nn/elu.h: the activation between Mimi's convolutions, on the CPU.
#pragma once

#include <cstdint>

namespace ppx::nn {

// y[i] = x[i] where x[i] > 0, else exp(x[i]) - 1, to within 2 units in the last place. NaN stays
// NaN. The bits of a result depend on x[i] alone, not on its place or the machine. y may be x.
void Elu(const float* x, float* y, int64_t count);

}  // namespace ppx::nn
