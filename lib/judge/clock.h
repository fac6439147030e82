// lib/judge/clock.h: time and waiting, so that tests of back-off and rate limits take no time.
#pragma once

#include <atomic>
#include <cstdint>

namespace ppx::judge {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // From any fixed moment, never going back.
  virtual double MonotonicSeconds() = 0;
  // Since 1970-01-01 UTC: what an HTTP date is compared with.
  virtual int64_t UnixSeconds() = 0;
  // Returns after `seconds`, or soon after `*cancel` became true. `cancel` may be null.
  virtual void Sleep(double seconds, const std::atomic<bool>* cancel) = 0;
};

// The machine's own clock. Lives as long as the process.
Clock& SystemClock();

}  // namespace ppx::judge
