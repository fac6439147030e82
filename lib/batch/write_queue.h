// lib/batch/write_queue.h: what has ended, on its way from the devices' threads to the writing
// threads. Part of the scheduler.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "base/error.h"
#include "batch/renderer.h"

namespace ppx::batch {

// A dialogue that has ended: with results to write, or failed (then `write` is empty).
struct EndedDialogue {
  size_t index = 0;
  WriteOutputs write;
  int capacity = 0;
  std::string error;
  base::ErrorCode code = base::ErrorCode::kInternal;
};

// Bounded. Thread-safe.
class WriteQueue {
 public:
  explicit WriteQueue(size_t bound) : bound_(bound) {}

  // Waits for room. Dropped after `Discard`.
  void Push(EndedDialogue ended);
  bool IsFull() const;
  // Waits for one. No value once `Close` was called and the queue is empty, or after `Discard`.
  std::optional<EndedDialogue> Pop();
  // Nothing more will be pushed.
  void Close();
  // Forgets what is queued and whatever comes.
  void Discard();

 private:
  const size_t bound_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<EndedDialogue> queue_;
  bool closed_ = false;
  bool discarded_ = false;
};

}  // namespace ppx::batch
