#include "torchscript/threads.h"

#include <ATen/Parallel.h>

namespace ppx::torchscript {

void UseOneThread() { at::set_num_threads(1); }

}  // namespace ppx::torchscript
