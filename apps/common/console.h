// apps/common/console.h: what the programs say on the terminal. Results go to standard output,
// everything else to standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/progress.h"

namespace ppx::app {

// True where a moving line can be drawn on standard error: a terminal that is not "dumb".
bool CanDraw();

// "1:05", "2:03:04"
std::string ClockText(double seconds);

// "[######......]  50 %", `share` from 0 to 1.
std::string BarText(double share);

void Warn(std::string_view message);

// A bar with time left and real-time factor. Draws at most ten times a second and only where
// CanDraw() says so.
class ProgressBar final : public base::Progress {
 public:
  // `unit_s`: seconds of audio in one unit, for the real-time factor; 0 shows none.
  explicit ProgressBar(double unit_s) : unit_s_(unit_s) {}
  ~ProgressBar() override;

  void Begin(std::string_view stage, int64_t total) override;
  void Update(int64_t done) override;
  void End() override;

 private:
  using Clock = std::chrono::steady_clock;

  void Draw(int64_t done);
  void Clear();

  double unit_s_;
  std::string stage_;
  int64_t total_ = 0;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_;
};

}  // namespace ppx::app
