#include "common/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ppx::app {
namespace {

constexpr auto kRedrawEvery = std::chrono::milliseconds(100);
constexpr int kBarWidth = 24;

}  // namespace

std::string ClockText(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  return whole >= 3600 ? fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
                       : fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string BarText(double share) {
  share = std::clamp(share, 0.0, 1.0);
  const auto filled = static_cast<int>(share * kBarWidth);
  return fmt::format("[{:#>{}}{:.>{}}] {:3.0f} %", "", filled, "", kBarWidth - filled, 100 * share);
}

bool CanDraw() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && term != nullptr && std::strcmp(term, "dumb") != 0;
}

void Warn(std::string_view message) { fmt::print(stderr, "warning: {}\n", message); }

ProgressBar::~ProgressBar() { Clear(); }

void ProgressBar::Begin(std::string_view stage, int64_t total) {
  stage_ = stage;
  total_ = total;
  start_ = Clock::now();
  last_ = start_ - kRedrawEvery;
  Update(0);
}

void ProgressBar::Update(int64_t done) {
  if (!CanDraw()) return;
  const auto now = Clock::now();
  if (now - last_ < kRedrawEvery) return;
  last_ = now;
  Draw(done);
}

void ProgressBar::End() { Clear(); }

void ProgressBar::Draw(int64_t done) {
  drawn_ = true;
  if (total_ <= 0) {
    fmt::print(stderr, "\r\033[K{} ...", stage_);
    return;
  }
  const double share =
      std::clamp(static_cast<double>(done) / static_cast<double>(total_), 0.0, 1.0);
  const double seconds = std::chrono::duration<double>(last_ - start_).count();
  std::string line = fmt::format("\r\033[K{} {}", stage_, BarText(share));
  if (done > 0 && seconds > 0) {
    line += fmt::format("  ETA {}", ClockText(seconds * (1 - share) / share));
    if (unit_s_ > 0) {
      line += fmt::format("  {:.2f}x real time", static_cast<double>(done) * unit_s_ / seconds);
    }
  }
  fmt::print(stderr, "{}", line);
  std::fflush(stderr);
}

void ProgressBar::Clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

}  // namespace ppx::app
