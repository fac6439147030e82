// lib/kernels/parallel.h: one loop on several threads, those of LibTorch.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace ppx::kernels {

// Threads that a loop called from this thread may take: what at::set_num_threads was given. 1 in
// builds without OpenMP.
int Threads();

// Calls work(task) once for each task in [0, tasks), on up to Threads() threads, in no particular
// order; whoever is done takes the next. Returns when all are done. `work` must not throw.
void ParallelFor(int64_t tasks, const std::function<void(int64_t task)>& work);

// One thread's view of the tasks of a loop. Each has neighbouring ones, whose data it meets in one
// stream, and then helps others.
class TaskQueue {
 public:
  // A task that no thread has had; none when all are taken.
  std::optional<int64_t> Next();

 private:
  friend void ParallelTake(int64_t tasks, const std::function<void(TaskQueue& queue)>& work);
  struct Share;
  TaskQueue(Share* shares, int threads, int thread)
      : shares_(shares), threads_(threads), thread_(thread) {}

  Share* shares_;
  int threads_;
  int thread_;
  int turn_ = 0;
};

// As ParallelFor, for work that keeps something from one task to the next: calls work(queue) once
// on each thread, which takes tasks until there are none.
void ParallelTake(int64_t tasks, const std::function<void(TaskQueue& queue)>& work);

}  // namespace ppx::kernels
