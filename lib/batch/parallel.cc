#include "batch/parallel.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"

namespace ppx::batch {
namespace {

constexpr std::chrono::milliseconds kTick{100};

}  // namespace

void ForEach(size_t count, int threads, const std::atomic<bool>* interrupt,
             const std::function<void(size_t)>& work, const std::function<void(size_t)>& finished) {
  const size_t wanted = std::min(
      count, threads > 0 ? static_cast<size_t>(threads)
                         : static_cast<size_t>(std::max(1U, std::thread::hardware_concurrency())));
  std::atomic<size_t> next{0};
  std::atomic<size_t> done{0};
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable ended;
  size_t running = 0;
  std::exception_ptr failure;
  const auto interrupted = [&] { return interrupt != nullptr && interrupt->load(); };
  const auto run = [&] {
    try {
      while (!stop && !interrupted()) {
        const size_t item = next++;
        if (item >= count) break;
        work(item);
        ++done;
      }
    } catch (...) {
      stop = true;
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
  };
  if (wanted <= 1) {
    run();
  } else {
    std::vector<std::jthread> pool;
    for (size_t i = 0; i < wanted; ++i) {
      {
        const std::lock_guard lock(mutex);
        ++running;
      }
      pool.emplace_back([&] {
        run();
        const std::lock_guard lock(mutex);
        if (--running == 0) ended.notify_all();
      });
    }
    std::unique_lock lock(mutex);
    while (running > 0) {
      ended.wait_for(lock, kTick);
      if (finished) finished(done);
    }
  }
  if (failure) std::rethrow_exception(failure);
  if (interrupted()) throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
  if (finished) finished(done);
}

}  // namespace ppx::batch
