// apps/ppx_batch/watch.h: what a batch says while it runs: a moving line on a terminal, or JSON
// lines.
#pragma once

#include <chrono>
#include <string>

#include "batch/scheduler.h"

namespace ppx::app {

class BatchWatch final : public batch::BatchObserver {
 public:
  // `frame_s`: seconds of a frame. `done_before`: of this shard, by earlier runs.
  BatchWatch(const batch::Plan& plan, double frame_s, bool line, bool json)
      : plan_(plan), frame_s_(frame_s), line_(line), json_(json) {}
  ~BatchWatch() override;

  void Progress(const batch::BatchSnapshot& snapshot) override;
  void SteppedDown(const std::string& device, int from_slots, int to_slots, size_t dropped,
                   const std::string& why) override;
  void Failed(size_t index, const std::string& error) override;

 private:
  using Clock = std::chrono::steady_clock;

  void Clear();

  const batch::Plan& plan_;
  double frame_s_;
  bool line_;
  bool json_;
  bool drawn_ = false;
  Clock::time_point last_{};
};

}  // namespace ppx::app
