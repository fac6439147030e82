#include "kernels/parallel.h"

#include <algorithm>
#include <array>
#include <atomic>

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace ppx::kernels {
namespace {

constexpr int kMostThreads = 256;

}  // namespace

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
  const int threads = static_cast<int>(std::min<int64_t>({Threads(), tasks, kMostThreads}));
  if (threads <= 1) {
    for (int64_t task = 0; task < tasks; ++task) work(task);
    return;
  }
#if defined(_OPENMP)
  // Each thread has neighbouring tasks, whose data it meets in one stream; who is done helps
  // others.
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };
  std::array<Share, kMostThreads> shares;
  for (int thread = 0; thread < threads; ++thread) {
    shares[static_cast<size_t>(thread)].next = tasks * thread / threads;
    shares[static_cast<size_t>(thread)].end = tasks * (thread + 1) / threads;
  }
#pragma omp parallel num_threads(threads)
  for (int turn = 0; turn < threads; ++turn) {
    Share& share = shares[static_cast<size_t>((omp_get_thread_num() + turn) % threads)];
    for (int64_t task = share.next.fetch_add(1); task < share.end; task = share.next.fetch_add(1)) {
      work(task);
    }
  }
#endif
}

}  // namespace ppx::kernels
