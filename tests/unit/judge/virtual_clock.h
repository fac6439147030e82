// tests/unit/judge/virtual_clock.h: a clock that waits in no time and remembers what was waited.
#pragma once

#include <mutex>
#include <vector>

#include "judge/clock.h"

namespace ppx::testing {

class VirtualClock final : public judge::Clock {
 public:
  double MonotonicSeconds() override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  int64_t UnixSeconds() override { return kUnixNow; }
  void Sleep(double seconds, const std::atomic<bool>* /*cancel*/) override {
    const std::lock_guard lock(mutex_);
    waits_.push_back(seconds);
    now_ += seconds;
  }

  std::vector<double> waits() const {
    const std::lock_guard lock(mutex_);
    return waits_;
  }

  static constexpr int64_t kUnixNow = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT

 private:
  mutable std::mutex mutex_;
  double now_ = 1000;
  std::vector<double> waits_;
};

}  // namespace ppx::testing
