#include "kernels/loops_body.h"

namespace ppx::kernels {

const LoopSet kAvx512Loops = kLoops;

}  // namespace ppx::kernels
