#include "batch/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "batch/dialogue_queue.h"
#include "batch/write_queue.h"

namespace ppx::batch {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTick{100};
constexpr size_t kMinWriteBehind = 8;

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// Where a thread's time goes: every moment belongs to one phase.
enum class Phase { kScheduler, kMake, kStart, kStep, kFinish, kWaitLoad, kWaitWrite };
constexpr size_t kPhases = 7;

class PhaseClock {
 public:
  void Enter(Phase phase) {
    const Clock::time_point now = Clock::now();
    spent_[static_cast<size_t>(phase_)] += now - since_;
    since_ = now;
    phase_ = phase;
  }
  double Spent(Phase phase) const { return Seconds(spent_[static_cast<size_t>(phase)]); }

 private:
  std::array<Clock::duration, kPhases> spent_{};
  Clock::time_point since_ = Clock::now();
  Phase phase_ = Phase::kScheduler;
};

// Written by the device's thread, read by the observer's. On cache lines of their own.
struct alignas(64) DeviceCounters {
  std::atomic<int64_t> frames_in_flight{0};
  std::atomic<int64_t> frames_stepped{0};
  std::atomic<int> slots_used{0};
  std::atomic<int> capacity{0};
};

struct Event {
  // A device that stepped down, or (`device` empty) a dialogue that failed.
  std::string device;
  int from_slots = 0;
  int to_slots = 0;
  size_t count_or_index = 0;
  std::string text;
};

std::vector<int> Capacities(std::span<const Device> devices) {
  std::vector<int> slots;
  for (const Device& device : devices) slots.push_back(device.slots);
  return slots;
}

size_t WriteBound(std::span<const Device> devices, const BatchOptions& options) {
  if (options.write_behind > 0) return static_cast<size_t>(options.write_behind);
  size_t slots = 0;
  for (const Device& device : devices) slots += static_cast<size_t>(std::max(device.slots, 0));
  return std::max(slots, kMinWriteBehind);
}

class Batch {
 public:
  Batch(const Plan& plan, std::span<const size_t> todo, const LoadDialogue& load,
        std::span<const Device> devices, const BatchOptions& options, BatchObserver& observer,
        OutcomeSink& sink)
      : plan_(plan),
        todo_(todo),
        load_(load),
        devices_(devices),
        options_(options),
        observer_(observer),
        sink_(sink),
        queue_(plan, todo, Capacities(devices),
               static_cast<size_t>(std::max(options.load_ahead, 1))),
        writes_(WriteBound(devices, options)),
        counters_(devices.size()) {
    for (const size_t index : todo) frames_total_ += plan[index].frames;
  }

  BatchResult Run();

  // For devices' threads.
  const Plan& plan() const { return plan_; }
  DialogueQueue& queue() { return queue_; }
  WriteQueue& writes() { return writes_; }
  DeviceCounters& counters(size_t device) { return counters_[device]; }
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  void Interrupt();
  void FramesDone(size_t index) { frames_done_ += plan_[index].frames; }
  void Fail(size_t index, std::string error, base::ErrorCode code);
  void FailForRoom(size_t index);
  void Tell(Event event);
  void Report(size_t device, DeviceStats stats);

 private:
  using Lock = std::unique_lock<std::mutex>;

  // Starts a thread whose end is counted in `running`. What escapes `body` ends the batch;
  // `discard`: along with everything that is queued for writing.
  template <typename Body>
  void StartThread(std::vector<std::jthread>& threads, int& running, bool discard, Body body);
  void Load();
  void Write();
  void WriteOne(EndedDialogue ended);
  void Abort(std::exception_ptr failure, bool discard);
  void StopRendering();
  // Observes until `running` is 0.
  void Watch(const int& running);
  void Observe(Lock& lock, bool always);
  BatchSnapshot Snapshot() const;  // under mutex_

  const Plan& plan_;
  const std::span<const size_t> todo_;
  const LoadDialogue& load_;
  const std::span<const Device> devices_;
  const BatchOptions& options_;
  BatchObserver& observer_;
  OutcomeSink& sink_;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point observed_ = begun_;
  int64_t frames_total_ = 0;

  DialogueQueue queue_;
  WriteQueue writes_;
  std::deque<DeviceCounters> counters_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> frames_done_{0};
  std::mutex sink_mutex_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr failure_;
  BatchResult result_;
  std::vector<Event> events_;
  int devices_running_ = 0;
  int loaders_running_ = 0;
  int writers_running_ = 0;
};

// One device: its renderer, and who is in which slot. Lives on the device's thread.
class DeviceThread {
 public:
  DeviceThread(Batch& batch, const Device& device, size_t number)
      : batch_(batch), device_(device), number_(number), counters_(batch.counters(number)) {
    stats_.name = device.name;
  }

  void Run();

 private:
  // A dialogue in flight, at its first slot.
  struct Place {
    size_t index = 0;
    std::vector<int> slots;
    int64_t first_step = 0;
  };

  void Make(int slots);
  void Render();
  void Join();
  void Start(ReadyDialogue dialogue);
  void Leave(int slot);
  void Free(const Place& place);
  void DropAll();
  int StepDown(int asked, const std::string& why);
  void Finished();

  Batch& batch_;
  const Device& device_;
  const size_t number_;
  DeviceCounters& counters_;
  PhaseClock clock_;
  DeviceStats stats_;
  std::unique_ptr<Renderer> renderer_;
  std::vector<std::optional<Place>> places_;  // by first slot
  std::set<int> free_;
  int active_ = 0;       // dialogues
  int64_t stepped_ = 0;  // of this renderer
  bool freed_ = false;   // a slot, since the queue was last asked
  uint64_t seen_ = 0;    // the queue's epoch when it was last asked
};

void DeviceThread::Run() {
  int slots = device_.slots;
  while (!batch_.stopping()) {
    std::string why;
    try {
      Make(slots);
      Render();
      break;
    } catch (const base::Error& error) {
      if (error.code() != base::ErrorCode::kOutOfMemory) throw;
      why = error.what();
    }
    slots = StepDown(slots, why);
  }
  Finished();
}

void DeviceThread::Make(int slots) {
  clock_.Enter(Phase::kMake);
  renderer_ = device_.make(batch_.queue().Frames(number_));
  clock_.Enter(Phase::kScheduler);
  if (renderer_ == nullptr || renderer_->slots() != slots) {
    base::ThrowInternal(device_.name + ": a renderer with other slots than it was asked for");
  }
  places_.assign(static_cast<size_t>(slots), std::nullopt);
  free_.clear();
  for (int slot = 0; slot < slots; ++slot) free_.insert(slot);
  active_ = 0;
  stepped_ = 0;
  freed_ = true;
  counters_.capacity = slots;
}

void DeviceThread::Render() {
  const int64_t capacity = renderer_->slots();
  while (!batch_.stopping()) {
    Join();
    if (active_ == 0) {
      clock_.Enter(Phase::kWaitLoad);
      const bool more = batch_.queue().WaitForChange(seen_);
      clock_.Enter(Phase::kScheduler);
      if (!more) break;
      continue;
    }
    clock_.Enter(Phase::kStep);
    const std::vector<int> ended = renderer_->Step();
    clock_.Enter(Phase::kScheduler);
    ++stepped_;
    ++stats_.steps;
    const int64_t used = capacity - static_cast<int64_t>(free_.size());
    stats_.slot_steps += used;
    stats_.slot_steps_possible += capacity;
    // This thread is the only one that writes these.
    const auto add = [](std::atomic<int64_t>& counter, int64_t amount) {
      counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    };
    add(counters_.frames_in_flight, active_);
    add(counters_.frames_stepped, active_);
    for (const int slot : ended) Leave(slot);
  }
  DropAll();
}

void DeviceThread::Join() {
  while (!free_.empty() && (freed_ || batch_.queue().epoch() != seen_)) {
    std::optional<ReadyDialogue> dialogue = batch_.queue().Take(number_, free_, seen_);
    freed_ = false;
    if (!dialogue) return;
    Start(std::move(*dialogue));
    freed_ = true;  // there may be more
  }
}

void DeviceThread::Start(ReadyDialogue dialogue) {
  const size_t index = dialogue.index;
  const std::vector<int>& slots = dialogue.slots;
  for (const int slot : slots) free_.erase(slot);
  std::optional<Place>& at = places_[static_cast<size_t>(slots.front())];
  at = Place{.index = index, .slots = slots, .first_step = stepped_};
  ++active_;
  counters_.slots_used += static_cast<int>(slots.size());
  const auto failed = [&](std::string error, base::ErrorCode code) {
    clock_.Enter(Phase::kWaitWrite);
    batch_.Fail(index, std::move(error), code);
    clock_.Enter(Phase::kScheduler);
    Free(*at);
    at.reset();
    batch_.queue().Gone();
  };
  clock_.Enter(Phase::kStart);
  try {
    renderer_->Start(slots, index, std::move(dialogue.inputs));
    clock_.Enter(Phase::kScheduler);
  } catch (const base::Error& error) {
    clock_.Enter(Phase::kScheduler);
    if (error.code() == base::ErrorCode::kOutOfMemory ||
        error.code() == base::ErrorCode::kInterrupted) {
      throw;
    }
    failed(error.what(), error.code());
  }
}

void DeviceThread::Leave(int slot) {
  if (slot < 0 || slot >= static_cast<int>(places_.size()) || !places_[static_cast<size_t>(slot)]) {
    base::ThrowInternal(fmt::format("{}: slot {} ended, where nothing was", device_.name, slot));
  }
  std::optional<Place>& at = places_[static_cast<size_t>(slot)];
  clock_.Enter(Phase::kFinish);
  WriteOutputs write = renderer_->Finish(slot);
  clock_.Enter(Phase::kScheduler);
  const size_t index = at->index;
  batch_.FramesDone(index);
  Free(*at);
  at.reset();
  const bool wait = batch_.writes().IsFull();
  if (wait) clock_.Enter(Phase::kWaitWrite);
  batch_.writes().Push({index, std::move(write), renderer_->slots(), {}, {}});
  if (wait) clock_.Enter(Phase::kScheduler);
  batch_.queue().Gone();
}

void DeviceThread::Free(const Place& place) {
  free_.insert(place.slots.begin(), place.slots.end());
  freed_ = true;
  --active_;
  counters_.slots_used -= static_cast<int>(place.slots.size());
  counters_.frames_in_flight -= stepped_ - place.first_step;
}

void DeviceThread::DropAll() {
  for (size_t slot = 0; slot < places_.size(); ++slot) {
    std::optional<Place>& at = places_[slot];
    if (!at) continue;
    clock_.Enter(Phase::kFinish);
    renderer_->Drop(static_cast<int>(slot));
    clock_.Enter(Phase::kScheduler);
    Free(*at);
    at.reset();
  }
}

int DeviceThread::StepDown(int asked, const std::string& why) {
  const int before = renderer_ != nullptr ? renderer_->slots() : asked;
  clock_.Enter(Phase::kMake);
  renderer_.reset();  // first: what comes next needs the memory
  clock_.Enter(Phase::kScheduler);
  std::vector<size_t> dropped;
  for (std::optional<Place>& at : places_) {
    if (!at) continue;
    dropped.push_back(at->index);
    Free(*at);
    at.reset();
  }
  batch_.queue().GiveBack(dropped);
  const int after = std::max(before / 2, batch_.queue().SmallestNeed());
  if (after >= before) {
    base::ThrowResource(
        fmt::format("{}: out of memory with {} slot{}, the fewest that work: {}; "
                    "use a device with more memory, or shorter dialogues",
                    device_.name, before, before == 1 ? "" : "s", why));
  }
  ++stats_.step_downs;
  counters_.capacity = after;
  for (const size_t index : batch_.queue().SetCapacity(number_, after)) batch_.FailForRoom(index);
  batch_.Tell({device_.name, before, after, dropped.size(), why});
  return after;
}

void DeviceThread::Finished() {
  stats_.slots = renderer_ != nullptr ? renderer_->slots() : 0;
  clock_.Enter(Phase::kMake);
  renderer_.reset();
  counters_.capacity = 0;
  clock_.Enter(Phase::kScheduler);
  stats_.make_s = clock_.Spent(Phase::kMake);
  stats_.start_s = clock_.Spent(Phase::kStart);
  stats_.step_s = clock_.Spent(Phase::kStep);
  stats_.finish_s = clock_.Spent(Phase::kFinish);
  stats_.wait_load_s = clock_.Spent(Phase::kWaitLoad);
  stats_.wait_write_s = clock_.Spent(Phase::kWaitWrite);
  stats_.overhead_s = clock_.Spent(Phase::kScheduler);
  batch_.Report(number_, stats_);
}

template <typename Body>
void Batch::StartThread(std::vector<std::jthread>& threads, int& running, bool discard, Body body) {
  const auto run = [this, &running, discard, body = std::move(body)] {
    try {
      body();
    } catch (const base::Error& error) {
      if (error.code() == base::ErrorCode::kInterrupted) {
        Interrupt();
        if (discard) writes_.Discard();
      } else {
        Abort(std::current_exception(), discard);
      }
    } catch (...) {
      Abort(std::current_exception(), discard);
    }
    const std::lock_guard lock(mutex_);
    --running;
    changed_.notify_all();
  };
  {
    const std::lock_guard lock(mutex_);
    ++running;
  }
  try {
    threads.emplace_back(run);
  } catch (const std::system_error& error) {
    {
      const std::lock_guard lock(mutex_);
      --running;
    }
    base::ThrowResource(fmt::format("cannot start a thread: {}; raise `ulimit -u`", error.what()));
  }
}

BatchResult Batch::Run() {
  std::vector<std::jthread> writers;
  std::vector<std::jthread> loaders;
  std::vector<std::jthread> devices;
  const auto guarded = [&](const auto& call) {
    try {
      call();
    } catch (...) {
      Abort(std::current_exception(), /*discard=*/true);
    }
  };
  guarded([&] {
    for (int i = 0; i < std::max(options_.write_threads, 1); ++i) {
      StartThread(writers, writers_running_, /*discard=*/true, [this] { Write(); });
    }
    for (const size_t index : queue_.SetCapacity(0, devices_.front().slots)) FailForRoom(index);
    for (size_t i = 0; i < devices_.size(); ++i) {
      StartThread(devices, devices_running_, /*discard=*/false,
                  [this, i] { DeviceThread(*this, devices_[i], i).Run(); });
    }
    for (int i = 0; i < std::max(options_.load_threads, 1); ++i) {
      StartThread(loaders, loaders_running_, /*discard=*/false, [this] { Load(); });
    }
    Watch(devices_running_);
  });
  // Whoever pushes ends before the queue is closed.
  devices.clear();
  queue_.Stop();
  loaders.clear();
  writes_.Close();
  guarded([&] { Watch(writers_running_); });
  writers.clear();
  guarded([&] {
    Lock lock(mutex_);
    Observe(lock, /*always=*/true);
  });
  if (failure_) std::rethrow_exception(failure_);
  result_.not_done = todo_.size() - result_.done - result_.failed;
  result_.elapsed_s = Seconds(Clock::now() - begun_);
  // Asked to stop when there was nothing left to stop.
  if (result_.not_done == 0) result_.interrupted = false;
  return std::move(result_);
}

void Batch::Load() {
  while (const std::optional<size_t> index = queue_.NextToLoad()) {
    std::unique_ptr<LoadedDialogue> inputs;
    std::optional<std::pair<std::string, base::ErrorCode>> problem;
    const Clock::time_point start = Clock::now();
    try {
      inputs = load_(*index);
    } catch (const base::Error& error) {
      if (error.code() == base::ErrorCode::kInterrupted) throw;
      problem = {error.what(), error.code()};
    } catch (const std::exception& error) {
      problem = {error.what(), base::ErrorCode::kInternal};
    }
    {
      const std::lock_guard lock(mutex_);
      result_.load_s += Seconds(Clock::now() - start);
    }
    if (problem) {
      Fail(*index, std::move(problem->first), problem->second);
      queue_.GoneWhileLoading(*index);
    } else if (!queue_.Ready(*index, std::move(inputs))) {
      FailForRoom(*index);
    }
  }
}

void Batch::Write() {
  while (std::optional<EndedDialogue> ended = writes_.Pop()) {
    const Clock::time_point start = Clock::now();
    WriteOne(std::move(*ended));
    const std::lock_guard lock(mutex_);
    result_.write_s += Seconds(Clock::now() - start);
  }
}

void Batch::WriteOne(EndedDialogue ended) {
  std::optional<DialogueOutcome> outcome;
  if (ended.write) {
    sink_.Writing(ended.index);
    try {
      outcome = ended.write();
    } catch (const base::Error& error) {
      if (error.code() == base::ErrorCode::kResource ||
          error.code() == base::ErrorCode::kOutOfMemory ||
          error.code() == base::ErrorCode::kInterrupted) {
        throw;
      }
      ended.error = error.what();
      ended.code = error.code();
    } catch (const std::exception& error) {
      ended.error = error.what();
      ended.code = base::ErrorCode::kInternal;
    }
    ended.write = nullptr;  // the results' memory, before the journal is waited for
  }
  const std::lock_guard one_at_a_time(sink_mutex_);
  if (outcome) {
    sink_.Done(ended.index, *outcome, ended.capacity);
    const std::lock_guard lock(mutex_);
    ++result_.done;
    result_.audio_s += outcome->audio_s;
    return;
  }
  sink_.Failed(ended.index, ended.error, ended.code);
  const std::lock_guard lock(mutex_);
  ++result_.failed;
  events_.push_back({"", 0, 0, ended.index, std::move(ended.error)});
  if (options_.max_failures && static_cast<int64_t>(result_.failed) > *options_.max_failures) {
    result_.too_many_failures = true;
    StopRendering();
  }
}

void Batch::Fail(size_t index, std::string error, base::ErrorCode code) {
  FramesDone(index);
  writes_.Push({index, {}, 0, std::move(error), code});
}

void Batch::FailForRoom(size_t index) {
  std::string devices;
  for (size_t i = 0; i < devices_.size(); ++i) {
    const int capacity = counters_[i].capacity;
    devices += fmt::format("{}{} has {}", i == 0 ? "" : ", ", devices_[i].name,
                           capacity > 0 ? capacity : devices_[i].slots);
  }
  Fail(index,
       fmt::format("needs {} slots at once, and no device has them: {}; use a larger --batch or a "
                   "device with more memory",
                   plan_[index].slots, devices),
       base::ErrorCode::kResource);
}

void Batch::Tell(Event event) {
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
}

void Batch::Report(size_t device, DeviceStats stats) {
  const std::lock_guard lock(mutex_);
  result_.devices.resize(devices_.size());
  result_.devices[device] = std::move(stats);
}

void Batch::Interrupt() {
  const std::lock_guard lock(mutex_);
  result_.interrupted = true;
  StopRendering();
}

void Batch::Abort(std::exception_ptr failure, bool discard) {
  if (discard) writes_.Discard();
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
  StopRendering();
  changed_.notify_all();
}

void Batch::StopRendering() {
  stopping_ = true;
  queue_.Stop();
}

void Batch::Watch(const int& running) {
  Lock lock(mutex_);
  while (running > 0) {
    const bool interrupt = options_.interrupt != nullptr && options_.interrupt->load();
    if (interrupt && !result_.interrupted && !stopping()) {
      result_.interrupted = true;
      StopRendering();
    }
    Observe(lock, /*always=*/false);
    if (running > 0) changed_.wait_for(lock, kTick);
  }
}

void Batch::Observe(Lock& lock, bool always) {
  const Clock::time_point now = Clock::now();
  const bool due = always || now - observed_ >= kTick;
  if (due) observed_ = now;
  const std::vector<Event> events = std::exchange(events_, {});
  const BatchSnapshot snapshot = Snapshot();
  lock.unlock();
  for (const Event& event : events) {
    if (event.device.empty()) {
      observer_.Failed(event.count_or_index, event.text);
    } else {
      observer_.SteppedDown(event.device, event.from_slots, event.to_slots, event.count_or_index,
                            event.text);
    }
  }
  if (due) observer_.Progress(snapshot);
  lock.lock();
}

BatchSnapshot Batch::Snapshot() const {
  BatchSnapshot snapshot;
  snapshot.total = todo_.size();
  snapshot.done = result_.done;
  snapshot.failed = result_.failed;
  snapshot.audio_s_done = result_.audio_s;
  snapshot.frames_total = frames_total_;
  snapshot.frames_done = frames_done_;
  for (const DeviceCounters& device : counters_) {
    snapshot.frames_in_flight += device.frames_in_flight;
    snapshot.frames_stepped += device.frames_stepped;
    snapshot.slots_used += device.slots_used;
    snapshot.capacity += device.capacity;
  }
  snapshot.elapsed_s = Seconds(Clock::now() - begun_);
  return snapshot;
}

}  // namespace

BatchResult RunBatch(const Plan& plan, std::span<const size_t> todo, const LoadDialogue& load,
                     std::span<const Device> devices, const BatchOptions& options,
                     BatchObserver& observer, OutcomeSink& sink) {
  if (devices.empty()) base::ThrowInternal("a batch without a device");
  if (todo.empty()) {
    observer.Progress({});
    return {};
  }
  return Batch(plan, todo, load, devices, options, observer, sink).Run();
}

}  // namespace ppx::batch
