#include "kernels/parallel.h"

#include <algorithm>
#include <atomic>
#include <memory>

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

struct alignas(64) TaskQueue::Share {
  std::atomic<int64_t> next;
  int64_t end;
};

std::optional<int64_t> TaskQueue::Next() {
  for (; turn_ < threads_; ++turn_) {
    Share& share = shares_[(thread_ + turn_) % threads_];
    const int64_t task = share.next.fetch_add(1);
    if (task < share.end) return task;
  }
  return std::nullopt;
}

void ParallelTake(int64_t tasks, const std::function<void(TaskQueue& queue)>& work) {
  const int threads = static_cast<int>(std::min<int64_t>({Threads(), tasks, kMostThreads}));
  if (threads <= 1) {
    TaskQueue::Share all{.next = 0, .end = tasks};
    TaskQueue queue(&all, 1, 0);
    work(queue);
    return;
  }
#if defined(_OPENMP)
  // Kept: a loop is often shorter than it takes to clear them. A loop inside `work` has one thread.
  thread_local const auto kept = std::make_unique<TaskQueue::Share[]>(kMostThreads);
  TaskQueue::Share* shares = kept.get();
  for (int thread = 0; thread < threads; ++thread) {
    shares[thread].next = tasks * thread / threads;
    shares[thread].end = tasks * (thread + 1) / threads;
  }
#pragma omp parallel num_threads(threads)
  {
    TaskQueue queue(shares, threads, omp_get_thread_num());
    work(queue);
  }
#endif
}

void ParallelFor(int64_t tasks, const std::function<void(int64_t task)>& work) {
  ParallelTake(tasks, [&](TaskQueue& queue) {
    while (const std::optional<int64_t> task = queue.Next()) work(*task);
  });
}

}  // namespace ppx::kernels
