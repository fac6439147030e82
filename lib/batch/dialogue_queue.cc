#include "batch/dialogue_queue.h"

#include <algorithm>
#include <utility>

#include "batch/slot_frames.h"

namespace ppx::batch {
namespace {

// A dialogue that waits for room is passed by this many at most; then slots are kept free for it.
constexpr int kMaxPassed = 64;

}  // namespace

DialogueQueue::DialogueQueue(const Plan& plan, std::span<const size_t> todo,
                             std::span<const int> capacities, size_t load_ahead)
    : plan_(plan),
      load_ahead_(std::max<size_t>(load_ahead, 1)),
      order_(todo.begin(), todo.end()),
      rank_(plan.size()),
      slot_frames_(capacities.size()),
      unfinished_(todo.size()) {
  std::sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
    if (plan[a].frames != plan[b].frames) return plan[a].frames > plan[b].frames;
    return a < b;
  });
  for (size_t rank = 0; rank < order_.size(); ++rank) {
    rank_[order_[rank]] = rank;
    waiting_[Slots(rank)].insert(rank);
  }
  for (size_t device = 0; device < slot_frames_.size(); ++device) {
    slot_frames_[device] = SlotFrames(plan, todo, slot_frames_.size(), capacities[device]);
  }
}

std::optional<size_t> DialogueQueue::NextToLoad() {
  std::unique_lock lock(mutex_);
  while (!Over()) {
    std::set<size_t>* best = nullptr;
    for (auto& [slots, ranks] : waiting_) {
      if (ranks.empty() || held_[slots] >= load_ahead_) continue;
      if (best == nullptr || *ranks.begin() < *best->begin()) best = &ranks;
    }
    if (best != nullptr) {
      const size_t rank = *best->begin();
      best->erase(best->begin());
      ++held_[Slots(rank)];
      return order_[rank];
    }
    for_loaders_.wait(lock);
  }
  return std::nullopt;
}

bool DialogueQueue::Ready(size_t index, std::unique_ptr<LoadedDialogue> inputs) {
  const std::lock_guard lock(mutex_);
  const size_t rank = rank_[index];
  if (Slots(rank) > Largest()) {
    --held_[Slots(rank)];
    --unfinished_;
    Changed();
    return false;
  }
  ready_.emplace(rank, Loaded{std::move(inputs), 0});
  Changed();
  return true;
}

std::optional<ReadyDialogue> DialogueQueue::Take(size_t device, const std::set<int>& free,
                                                 uint64_t& seen) {
  const std::lock_guard lock(mutex_);
  seen = epoch_.load(std::memory_order_relaxed);
  if (Over()) return std::nullopt;
  const std::vector<int64_t>& frames = slot_frames_[device];
  std::vector<int> open(free.begin(), free.end());
  std::vector<std::map<size_t, Loaded>::iterator> passed;
  for (auto entry = ready_.begin(); entry != ready_.end(); ++entry) {
    const int slots = Slots(entry->first);
    if (slots > std::ssize(frames)) continue;
    const auto fits = [&](size_t rank, int slot) {
      return frames[static_cast<size_t>(slot)] >= plan_[order_[rank]].frames;
    };
    const auto end = std::partition_point(open.begin(), open.end(),
                                          [&](int slot) { return fits(entry->first, slot); });
    if (end - open.begin() < slots) {
      passed.push_back(entry);
      // What it could have is kept for it from now on.
      if (entry->second.passed >= kMaxPassed) open.erase(open.begin(), end);
      continue;
    }
    ReadyDialogue taken{order_[entry->first], {end - slots, end}, std::move(entry->second.inputs)};
    for (const auto& waiting : passed) {
      if (fits(waiting->first, taken.slots.front())) ++waiting->second.passed;
    }
    ready_.erase(entry);
    --held_[slots];
    Changed();
    seen = epoch_.load(std::memory_order_relaxed);
    return taken;
  }
  return std::nullopt;
}

bool DialogueQueue::WaitForChange(uint64_t seen) {
  std::unique_lock lock(mutex_);
  for_devices_.wait(lock, [&] { return Over() || epoch_.load() != seen; });
  return !Over();
}

void DialogueQueue::GiveBack(std::span<const size_t> indices) {
  const std::lock_guard lock(mutex_);
  for (const size_t index : indices) waiting_[plan_[index].slots].insert(rank_[index]);
  Changed();
}

int DialogueQueue::SmallestNeed() const {
  const std::lock_guard lock(mutex_);
  int smallest = 0;
  const auto take = [&](int slots) {
    smallest = smallest == 0 ? slots : std::min(smallest, slots);
  };
  for (const auto& [slots, ranks] : waiting_) {
    if (!ranks.empty()) take(slots);
  }
  for (const auto& [slots, count] : held_) {
    if (count > 0) take(slots);
  }
  return std::max(smallest, 1);
}

std::vector<int64_t> DialogueQueue::Frames(size_t device) const {
  const std::lock_guard lock(mutex_);
  return slot_frames_[device];
}

std::vector<size_t> DialogueQueue::SetCapacity(size_t device, int slots) {
  const std::lock_guard lock(mutex_);
  slot_frames_[device] = SlotFrames(plan_, order_, slot_frames_.size(), slots);
  std::set<size_t> stranded;
  for (auto entry = waiting_.upper_bound(Largest()); entry != waiting_.end(); ++entry) {
    stranded.merge(entry->second);
  }
  for (auto entry = ready_.begin(); entry != ready_.end();) {
    if (Slots(entry->first) > Largest()) {
      --held_[Slots(entry->first)];
      stranded.insert(entry->first);
      entry = ready_.erase(entry);
    } else {
      ++entry;
    }
  }
  unfinished_ -= stranded.size();
  Changed();
  std::vector<size_t> indices;
  for (const size_t rank : stranded) indices.push_back(order_[rank]);
  return indices;
}

void DialogueQueue::GoneWhileLoading(size_t index) {
  const std::lock_guard lock(mutex_);
  --held_[plan_[index].slots];
  --unfinished_;
  Changed();
}

void DialogueQueue::Gone() {
  const std::lock_guard lock(mutex_);
  --unfinished_;
  if (Over()) Changed();
}

void DialogueQueue::Stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  Changed();
}

int DialogueQueue::Largest() const {
  size_t largest = 0;
  for (const auto& frames : slot_frames_) largest = std::max(largest, frames.size());
  return static_cast<int>(largest);
}

void DialogueQueue::Changed() {
  epoch_.fetch_add(1, std::memory_order_release);
  for_devices_.notify_all();
  for_loaders_.notify_all();
}

}  // namespace ppx::batch
