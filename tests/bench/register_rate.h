// tests/bench/register_rate.h: how fast the processor multiplies when nothing comes from memory.
#pragma once

#include <optional>

namespace ppx::bench {

// Operations a second (two for each multiplication and addition) of all threads together, the best
// of a few; nothing where the processor lacks the instruction.
struct RegisterRates {
  std::optional<double> f32;   // FMA of AVX-512 or AVX2
  std::optional<double> bf16;  // vdpbf16ps
  std::optional<double> int8;  // vpdpbusd
};

RegisterRates MeasureRegisterRates(int threads);

}  // namespace ppx::bench
