// lib/kernels/loop_set.h: inside this library: the loops of loops.h that one instruction set has.
#pragma once

#include "kernels/loops.h"

namespace ppx::kernels {

struct LoopSet {
  Loops<float> f32;
  Loops<Bf16> bf16;
  RopeAngles rope_angles;
  Activation elu;
  Activation gelu;
};

extern const LoopSet kPortableLoops;
extern const LoopSet kAvx2Loops;
extern const LoopSet kAvx512Loops;

}  // namespace ppx::kernels
