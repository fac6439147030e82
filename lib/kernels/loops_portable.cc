#include "kernels/loops_body.h"

namespace ppx::kernels {

const LoopSet kPortableLoops = kLoops;

}  // namespace ppx::kernels
