#include "judge/clock.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace ppx::judge {
namespace {

using std::chrono::duration;

class RealClock final : public Clock {
 public:
  double MonotonicSeconds() override {
    return duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  int64_t UnixSeconds() override {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  void Sleep(double seconds, const std::atomic<bool>* cancel) override {
    constexpr double kSlice = 0.05;  // how soon a wait notices that it is cancelled
    const double end = MonotonicSeconds() + seconds;
    for (double left = seconds; left > 0; left = end - MonotonicSeconds()) {
      if (cancel != nullptr && *cancel) return;
      std::this_thread::sleep_for(duration<double>(std::min(left, kSlice)));
    }
  }
};

}  // namespace

Clock& SystemClock() {
  static RealClock clock;
  return clock;
}

}  // namespace ppx::judge
