// lib/batch/scheduler.h: a plan's dialogues through the slots of one or more devices.
//
// One thread a device steps its renderer; dialogues join and leave between steps. One queue for all
// devices, the longest dialogue first (by frames, then by place in the plan). A device's slots are
// as long as the longest dialogues (slot_frames.h), and a dialogue waits until as many as it needs
// are free that are long enough for it; shorter ones may pass it, but not without end. A few
// threads read inputs ahead, a few others write results, so that a step waits for no disk.
//
// What a dialogue becomes depends on none of this: that is the renderer's promise, and the
// scheduler adds nothing to it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "batch/plan.h"
#include "batch/renderer.h"

namespace ppx::batch {

struct Device {
  std::string name;  // "cuda:0", for messages
  int slots = 1;     // what `make` is asked for first
  MakeRenderer make;
};

struct BatchOptions {
  // The batch ends when more than this many dialogues have failed. No value: never.
  std::optional<int64_t> max_failures;
  // Looked at ten times a second. Once true: nothing new is begun, what is in flight is dropped,
  // what has ended is still written.
  const std::atomic<bool>* interrupt = nullptr;
  // Inputs that lie loaded and not begun, for dialogues of one number of slots: this bounds memory.
  int load_ahead = 4;
  int load_threads = 2;
  // Dialogues that have ended and are not written yet, before a device waits. 0: as many as all
  // devices have slots, 8 at least.
  int write_behind = 0;
  int write_threads = 2;
};

struct BatchSnapshot {
  size_t total = 0;
  size_t done = 0;  // written and reported
  size_t failed = 0;
  double audio_s_done = 0;
  // Of the plan's frames: of dialogues that ended or failed, and stepped so far of those in flight.
  int64_t frames_total = 0;
  int64_t frames_done = 0;
  int64_t frames_in_flight = 0;
  // All steps of all dialogues, those that were dropped and begun again too.
  int64_t frames_stepped = 0;
  int slots_used = 0;
  int capacity = 0;  // of all renderers that exist now
  double elapsed_s = 0;
};

// Called from the thread that called RunBatch, one call at a time. An exception ends the batch.
class BatchObserver {
 public:
  virtual ~BatchObserver() = default;

  // At most about ten times a second, and once at the end.
  virtual void Progress(const BatchSnapshot& /*snapshot*/) {}
  // A device ran out of memory and goes on with fewer slots; `dropped` dialogues begin again.
  virtual void SteppedDown(const std::string& /*device*/, int /*from_slots*/, int /*to_slots*/,
                           size_t /*dropped*/, const std::string& /*why*/) {}
  // A dialogue failed; it has been reported to the sink.
  virtual void Failed(size_t /*index*/, const std::string& /*error*/) {}
};

// Where results are recorded: the journal. Called from the writing threads; `Done` and `Failed` one
// call at a time, `Writing` several at once. An exception ends the batch.
class OutcomeSink {
 public:
  virtual ~OutcomeSink() = default;

  // Before the files of a dialogue are written, some of which may be there from another time.
  virtual void Writing(size_t /*index*/) {}
  // After all its files are on the disk.
  virtual void Done(size_t index, const DialogueOutcome& outcome, int capacity) = 0;
  virtual void Failed(size_t index, const std::string& error, base::ErrorCode code) = 0;
};

struct DeviceStats {
  std::string name;
  int slots = 0;  // of the last renderer
  int step_downs = 0;
  int64_t steps = 0;
  int64_t slot_steps = 0;           // slots in use, summed over the steps
  int64_t slot_steps_possible = 0;  // slots, summed over the steps
  // How the thread's time was spent, in seconds.
  double make_s = 0;
  double start_s = 0;
  double step_s = 0;
  double finish_s = 0;      // `Finish`, `Drop`
  double wait_load_s = 0;   // no dialogue was at hand
  double wait_write_s = 0;  // the writers were too far behind
  double overhead_s = 0;    // everything else: the scheduler
};

struct BatchResult {
  size_t done = 0;
  size_t failed = 0;
  size_t not_done = 0;  // begun or not
  bool interrupted = false;
  bool too_many_failures = false;
  double audio_s = 0;
  double elapsed_s = 0;
  double load_s = 0;   // summed over the threads
  double write_s = 0;  // summed over the threads, the sink's part included
  std::vector<DeviceStats> devices;
};

// Renders the plan's dialogues `todo` (places in the plan, each once). Returns when all are done or
// have failed, when `max_failures` is exceeded, or when interrupted. All threads have ended by
// then, also where it throws.
//
// A dialogue fails, and the others go on, where loading it, `Start` or writing it throws, or where
// no device has as many slots as it needs.
//
// Out of memory in making a renderer, `Start`, `Step` or `Finish`: the renderer is destroyed and
// made again with half the slots, and at least as many as the smallest dialogue that is left needs;
// what was in flight begins again, its inputs loaded again.
//
// Throws base::Error, the first that occurs, after what had ended by then was dropped or written:
// kResource where a device runs out of memory with the fewest slots, where `WriteOutputs` reports
// kResource (a full disk is full for all), or where no thread can be started; whatever else a
// device's thread or the sink throws. kInterrupted from any call counts as an interruption.
BatchResult RunBatch(const Plan& plan, std::span<const size_t> todo, const LoadDialogue& load,
                     std::span<const Device> devices, const BatchOptions& options,
                     BatchObserver& observer, OutcomeSink& sink);

}  // namespace ppx::batch
