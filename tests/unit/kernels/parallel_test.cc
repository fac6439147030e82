#include "kernels/parallel.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "support/doctest.h"

namespace ppx::kernels {
namespace {

TEST_CASE("parallel: each task is done once, however many there are") {
  for (const int64_t tasks : {0, 1, 2, 3, 7, 1000}) {
    CAPTURE(tasks);
    std::vector<std::atomic<int>> done(static_cast<size_t>(tasks));
    ParallelFor(tasks, [&](int64_t task) { ++done[static_cast<size_t>(task)]; });
    for (const auto& times : done) CHECK(times == 1);
  }
}

TEST_CASE("parallel: who is done takes the tasks of one that is held up") {
  constexpr int64_t kTasks = 64;
  const bool alone = Threads() == 1;
  std::atomic<int> with_a_task{0};
  std::atomic<int64_t> done{0};
  std::atomic<int64_t> done_by_others{0};
  ParallelTake(kTasks, [&](TaskQueue& queue) {
    if (!queue.Next()) return;
    // The first that has a task keeps it until the others have done theirs.
    if (with_a_task++ == 0 && !alone) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (done < kTasks - 1 && std::chrono::steady_clock::now() < end) {
      }
      done_by_others = done.load();
    }
    ++done;
    while (queue.Next()) ++done;
  });
  CHECK(done == kTasks);
  if (!alone) CHECK(done_by_others == kTasks - 1);
}

TEST_CASE("parallel: a loop inside a loop runs on its thread") {
  std::atomic<int> done{0};
  ParallelFor(8, [&](int64_t) { ParallelFor(5, [&](int64_t) { ++done; }); });
  CHECK(done == 40);
}

}  // namespace
}  // namespace ppx::kernels
