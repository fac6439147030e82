// lib/kernels/isa.h: which of the machine's vector instructions the kernels use.
#pragma once

#include <string_view>

namespace ppx::kernels {

enum class Isa {
  kPortable,  // plain C++
  kAvx2,      // AVX2, FMA, F16C
  kAvx512     // AVX-512 F, BW, DQ, VL, VNNI and BF16: Zen 4, Sapphire Rapids and newer
};

// The best that this machine has. Tests lower it.
Isa BestIsa();

// The one in use: at first the best, or what the environment's PPX_ISA names ("portable", "avx2",
// "avx512"; one that the machine lacks counts as the best).
Isa CurrentIsa();
// For the whole process; what the machine lacks counts as the best. No kernel may be running.
void UseIsa(Isa isa);

const char* Name(Isa isa);

}  // namespace ppx::kernels
