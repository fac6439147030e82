// lib/torchscript/threads.h: LibTorch's own threads.
#pragma once

namespace ppx::torchscript {

// LibTorch computes with one thread in the calling thread from now on. Sums are then taken in one
// order, whatever the machine.
void UseOneThread();

}  // namespace ppx::torchscript
