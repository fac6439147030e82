// tests/support/host_team.h: the kernels of recorded steps on the host: their bodies, block after
// block, by one thread or by as many as a test asks for.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace ppx::test {

struct SerialTeam {
  static constexpr int kLanes = 1;
  int rank() const { return 0; }
  int size() const { return 1; }
  int lane() const { return 0; }
  int group() const { return 0; }
  int groups() const { return 1; }
  void Sync() const {}
  void SyncLanes() const {}
  template <class Number>
  Number LaneSum(Number x) const {
    return x;
  }
};

// Where threads wait for each other without spinning: there are more of them than processors.
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void Wait() {
    std::unique_lock lock(mutex_);
    const int64_t round = round_;
    if (++waiting_ == threads_) {
      waiting_ = 0;
      ++round_;
      all_here_.notify_all();
    } else {
      all_here_.wait(lock, [&] { return round_ != round; });
    }
  }

 private:
  const int threads_;
  std::mutex mutex_;
  std::condition_variable all_here_;
  int waiting_ = 0;
  int64_t round_ = 0;
};

// Real threads that only meet where the kernel makes them, with the GPU's lanes and its order of
// their sums.
class ThreadTeam {
 public:
  static constexpr int kLanes = 16;

  struct Block {
    explicit Block(int threads) : size(threads), all(threads), cells(static_cast<size_t>(threads)) {
      for (int i = 0; i < threads / kLanes; ++i) groups.emplace_back(kLanes);
    }
    int size;
    Barrier all;
    std::deque<Barrier> groups;
    std::vector<std::array<std::byte, 8>> cells;
  };

  ThreadTeam(Block* block, int rank) : block_(block), rank_(rank) {}
  int rank() const { return rank_; }
  int size() const { return block_->size; }
  int lane() const { return rank_ % kLanes; }
  int group() const { return rank_ / kLanes; }
  int groups() const { return block_->size / kLanes; }
  void Sync() const { block_->all.Wait(); }
  void SyncLanes() const { block_->groups[static_cast<size_t>(group())].Wait(); }
  template <class Number>
  Number LaneSum(Number x) const {
    Barrier& lanes = block_->groups[static_cast<size_t>(group())];
    const auto cell = [&](int lane) {
      return block_->cells[static_cast<size_t>(group() * kLanes + lane)].data();
    };
    std::memcpy(cell(lane()), &x, sizeof x);
    lanes.Wait();
    std::array<Number, kLanes> sums;
    for (int i = 0; i < kLanes; ++i) std::memcpy(&sums[static_cast<size_t>(i)], cell(i), sizeof x);
    lanes.Wait();
    for (size_t step = kLanes / 2; step > 0; step /= 2) {
      for (size_t i = 0; i < step; ++i) sums[i] += sums[i + step];
    }
    return sums[0];
  }

 private:
  Block* block_;
  int rank_;
};

// Shared memory holds anything when a block starts.
template <class Kernel>
std::unique_ptr<typename Kernel::Shared> UnsetShared() {
  auto shared = std::make_unique<typename Kernel::Shared>();
  std::memset(static_cast<void*>(shared.get()), 0xff, sizeof(typename Kernel::Shared));
  return shared;
}

// Calls run(block, body) for every block of a kernel, phase after phase where it has phases;
// body(team, block, shared).
template <class Kernel, class RunBlock>
void ForEachBlock(const Kernel& kernel, const RunBlock& run) {
  if constexpr (requires { kernel.Phases(); }) {
    for (int phase = 0; phase < kernel.Phases(); ++phase) {
      for (int64_t block = 0; block < kernel.Blocks(phase); ++block) {
        run(block, [&](auto team, int64_t b, auto& shared) {
          const auto task = kernel.At(phase);
          kernel.Run(team, task, b, shared);
          kernel.Prefetch(team, task, b, kernel.Blocks(phase));
        });
      }
    }
  } else {
    for (int64_t block = 0; block < kernel.Blocks(); ++block) run(block, kernel);
  }
}

template <class Kernel>
void RunSerial(const Kernel& kernel) {
  ForEachBlock(kernel, [](int64_t block, const auto& body) {
    const auto shared = UnsetShared<Kernel>();
    body(SerialTeam{}, block, *shared);
  });
}

template <class Kernel>
void RunThreads(const Kernel& kernel, int threads) {
  ForEachBlock(kernel, [threads](int64_t block, const auto& body) {
    const auto shared = UnsetShared<Kernel>();
    ThreadTeam::Block team(threads);
    std::vector<std::jthread> running;
    for (int rank = 0; rank < threads; ++rank) {
      running.emplace_back([&, rank] { body(ThreadTeam(&team, rank), block, *shared); });
    }
  });
}

}  // namespace ppx::test
