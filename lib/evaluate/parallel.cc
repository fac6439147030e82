#include "evaluate/parallel.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "torchscript/threads.h"

namespace ppx::evaluate {

void ForEachInParallel(size_t count, int threads, const std::atomic<bool>* cancel,
                       const std::function<void(size_t)>& work,
                       const std::function<void(size_t)>& finished) {
  const size_t wanted = threads > 0 ? static_cast<size_t>(threads)
                                    : std::max(1U, std::thread::hardware_concurrency());
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  size_t done = 0;
  std::exception_ptr failure;
  const auto cancelled = [&] { return cancel != nullptr && cancel->load(); };
  const auto run = [&] {
    torchscript::UseOneThread();
    try {
      while (!stop && !cancelled()) {
        const size_t item = next++;
        if (item >= count) return;
        work(item);
        const std::lock_guard lock(mutex);
        finished(++done);
      }
    } catch (...) {
      stop = true;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  std::vector<std::jthread> pool;
  for (size_t i = 0; i < std::min(wanted, count); ++i) pool.emplace_back(run);
  pool.clear();
  if (failure) std::rethrow_exception(failure);
  if (cancelled()) throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
}

}  // namespace ppx::evaluate
