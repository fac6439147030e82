// lib/kernels/parallel.h: one loop on several threads, those of LibTorch.
#pragma once

#include <cstdint>
#include <functional>

namespace ppx::kernels {

// Threads that a loop called from this thread may take: what at::set_num_threads was given. 1 in
// builds without OpenMP.
int Threads();

// Calls work(task) once for each task in [0, tasks), on up to Threads() threads, in no particular
// order; whoever is done takes the next. Returns when all are done. `work` must not throw.
void ParallelFor(int64_t tasks, const std::function<void(int64_t task)>& work);

}  // namespace ppx::kernels
