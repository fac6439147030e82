// lib/batch/dialogue_queue.h: the dialogues that are still to be rendered, on their way from the
// plan through the loading threads to the devices' threads. Part of the scheduler.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "batch/plan.h"
#include "batch/renderer.h"

namespace ppx::batch {

struct ReadyDialogue {
  size_t index = 0;
  std::vector<int> slots{};
  std::unique_ptr<LoadedDialogue> inputs;
};

// Thread-safe. Every dialogue is in one of these states, and `unfinished` until it is gone:
//   waiting -> loading -> ready -> with a device -> gone
// A device gives dialogues back (to waiting) that it could not finish.
class DialogueQueue {
 public:
  // `capacities`: slots of each device. `load_ahead`: dialogues loading or ready, for those of one
  // number of slots; separate, so that large ones that wait for room leave small ones theirs.
  DialogueQueue(const Plan& plan, std::span<const size_t> todo, std::span<const int> capacities,
                size_t load_ahead);

  // For loading threads. The next to load; waits for one. No value once nothing is left or `Stop`.
  std::optional<size_t> NextToLoad();
  // False where no device has room for it any more: it is out of the queue, the caller reports it.
  bool Ready(size_t index, std::unique_ptr<LoadedDialogue> inputs);

  // For devices' threads. The first of the ready ones for which enough slots of `free` are long
  // enough, if there is one now; it is given the shortest of them, so that longer ones stay for who
  // needs them. `seen` becomes the epoch that was looked at.
  std::optional<ReadyDialogue> Take(size_t device, const std::set<int>& free, uint64_t& seen);
  // Grows when `Take` may have another answer. Read without a lock.
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }
  // Waits until the epoch is not `seen`. False once nothing is left or `Stop`.
  bool WaitForChange(uint64_t seen);
  void GiveBack(std::span<const size_t> indices);
  // The fewest slots that a dialogue of the queue (waiting, loading or ready) needs; 1 without any.
  int SmallestNeed() const;
  // How long the device's slots have to be (slot_frames.h).
  std::vector<int64_t> Frames(size_t device) const;
  // The device goes on with this many slots. Those that no device has room for any more are out of
  // the queue and returned, in the order of the queue.
  std::vector<size_t> SetCapacity(size_t device, int slots);

  // A dialogue that was handed out (by `NextToLoad` or `Take`) will not come back.
  void GoneWhileLoading(size_t index);
  void Gone();

  // Nothing more is handed out, and nobody waits any longer.
  void Stop();

 private:
  struct Loaded {
    std::unique_ptr<LoadedDialogue> inputs;
    int passed = 0;  // by how many, in slots that it could have had
  };

  int Slots(size_t rank) const { return plan_[order_[rank]].slots; }
  int Largest() const;
  bool Over() const { return stopped_ || unfinished_ == 0; }
  // Under the mutex: something changed that a device or a loading thread may wait for.
  void Changed();

  const Plan& plan_;
  const size_t load_ahead_;
  std::vector<size_t> order_;  // rank to index: the longest first
  std::vector<size_t> rank_;   // index to rank

  mutable std::mutex mutex_;
  std::condition_variable for_devices_;
  std::condition_variable for_loaders_;
  std::atomic<uint64_t> epoch_{1};
  std::vector<std::vector<int64_t>> slot_frames_;  // of each device's slots, the longest first
  std::map<int, std::set<size_t>> waiting_;        // ranks, by slots
  std::map<int, size_t> held_;                     // loading and ready, by slots
  std::map<size_t, Loaded> ready_;                 // by rank
  size_t unfinished_ = 0;
  bool stopped_ = false;
};

}  // namespace ppx::batch
