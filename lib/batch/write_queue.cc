#include "batch/write_queue.h"

#include <utility>

namespace ppx::batch {

void WriteQueue::Push(EndedDialogue ended) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return discarded_ || queue_.size() < bound_; });
  if (discarded_) return;
  queue_.push_back(std::move(ended));
  changed_.notify_all();
}

bool WriteQueue::IsFull() const {
  const std::lock_guard lock(mutex_);
  return !discarded_ && queue_.size() >= bound_;
}

std::optional<EndedDialogue> WriteQueue::Pop() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return discarded_ || closed_ || !queue_.empty(); });
  if (discarded_ || queue_.empty()) return std::nullopt;
  EndedDialogue ended = std::move(queue_.front());
  queue_.pop_front();
  changed_.notify_all();
  return ended;
}

void WriteQueue::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void WriteQueue::Discard() {
  std::deque<EndedDialogue> dropped;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  discarded_ = true;
  dropped.swap(queue_);
  changed_.notify_all();
}

}  // namespace ppx::batch
