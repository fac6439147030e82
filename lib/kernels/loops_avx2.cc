#include "kernels/loops_body.h"

namespace ppx::kernels {

const LoopSet kAvx2Loops = kLoops;

}  // namespace ppx::kernels
