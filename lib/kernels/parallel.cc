#include "kernels/parallel.h"

#include <algorithm>
#include <atomic>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace ppx::kernels {

// LibTorch's own threads are OpenMP's: with the same runtime there is one pool, and no core has two
// busy threads.
int Threads() {
#if defined(_OPENMP)
  return omp_in_parallel() != 0 ? 1 : omp_get_max_threads();
#else
  return 1;
#endif
}

void ParallelFor(int64_t tasks, const std::function<void(int64_t task)>& work) {
  const int threads = static_cast<int>(std::min<int64_t>(Threads(), tasks));
  if (threads <= 1) {
    for (int64_t task = 0; task < tasks; ++task) work(task);
    return;
  }
#if defined(_OPENMP)
  std::atomic<int64_t> next{0};
#pragma omp parallel num_threads(threads)
  {
    for (int64_t task = next.fetch_add(1); task < tasks; task = next.fetch_add(1)) work(task);
  }
#endif
}

}  // namespace ppx::kernels
