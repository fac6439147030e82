#include "kernels/loops.h"

#include "kernels/isa.h"
#include "kernels/loop_set.h"

namespace ppx::kernels {
namespace {

const LoopSet& CurrentSet() {
#if defined(__x86_64__)
  switch (CurrentIsa()) {
    case Isa::kAvx512:
      return kAvx512Loops;
    case Isa::kAvx2:
      return kAvx2Loops;
    case Isa::kPortable:
      break;
  }
#endif
  return kPortableLoops;
}

}  // namespace

template <>
const Loops<float>& CurrentLoops() {
  return CurrentSet().f32;
}
template <>
const Loops<Bf16>& CurrentLoops() {
  return CurrentSet().bf16;
}
RopeAngles CurrentRopeAngles() { return CurrentSet().rope_angles; }
Activation CurrentElu() { return CurrentSet().elu; }
Activation CurrentGelu() { return CurrentSet().gelu; }

}  // namespace ppx::kernels
