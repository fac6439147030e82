// tests/unit/batch/fake_renderer.h: a renderer of a few lines, whose results depend on a dialogue's
// id alone, and which notices what a real one would suffer from.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "batch/plan.h"
#include "batch/renderer.h"
#include "batch/scheduler.h"

namespace ppx::batch {

inline std::string Digest(const std::string& text) {
  return base::Sha256Hex(std::as_bytes(std::span(text)));
}

// Dialogues d0, d1 ... of `frames[i]` frames, with two files each.
inline Plan MakePlan(const std::vector<int64_t>& frames, int slots = 1) {
  Plan plan;
  for (size_t i = 0; i < frames.size(); ++i) {
    const std::string id = fmt::format("d{}", i);
    plan.push_back(
        {id, Digest("key of " + id), frames[i], slots, {id + "/output.wav", id + "/text.json"}});
  }
  return plan;
}

inline std::vector<size_t> All(const Plan& plan) {
  std::vector<size_t> todo;
  for (size_t i = 0; i < plan.size(); ++i) todo.push_back(i);
  return todo;
}

// What one dialogue's file holds.
inline std::string Content(const PlannedDialogue& dialogue, const std::string& output) {
  std::string text;
  for (int64_t frame = 0; frame < dialogue.frames; ++frame) {
    text += fmt::format("{} {} {} {}\n", dialogue.id, dialogue.key, output, frame);
  }
  return text;
}

// Shared by all renderers of a test.
struct FakeWorld {
  explicit FakeWorld(const Plan& dialogues) : plan(dialogues) {}

  const Plan& plan;
  // Empty: results are kept in memory only.
  std::string output_folder;
  // Called at every turn; may throw. `what`: load, make, start, step, finish, write; `number`: the
  // dialogue, for make and step the renderer's slots.
  std::function<void(const std::string& what, size_t number)> on;

  std::atomic<int> loaded_now{0};  // inputs in memory
  std::atomic<int> most_loaded{0};
  std::atomic<int> violations{0};
  std::atomic<int> starts{0};
  std::atomic<int> drops{0};
  std::mutex mutex;
  std::vector<size_t> start_order;
  std::vector<int> made;  // slots of each renderer that was asked for

  void At(const std::string& what, size_t number) const {
    if (on) on(what, number);
  }
};

struct FakeInputs final : LoadedDialogue {
  FakeInputs(FakeWorld& its_world, size_t its_index) : world(its_world), index(its_index) {
    const int now = ++world.loaded_now;
    int most = world.most_loaded;
    while (now > most && !world.most_loaded.compare_exchange_weak(most, now)) {
    }
  }
  ~FakeInputs() override { --world.loaded_now; }
  FakeInputs(const FakeInputs&) = delete;
  FakeInputs& operator=(const FakeInputs&) = delete;

  FakeWorld& world;
  size_t index;
};

class FakeRenderer final : public Renderer {
 public:
  FakeRenderer(FakeWorld& world, std::vector<int64_t> frames)
      : world_(world), frames_(std::move(frames)), owner_(frames_.size(), -1) {}

  int slots() const override { return static_cast<int>(frames_.size()); }

  void Start(std::span<const int> slots, size_t index,
             std::unique_ptr<LoadedDialogue> inputs) override {
    Check();
    const auto* fake = dynamic_cast<const FakeInputs*>(inputs.get());
    if (fake == nullptr || fake->index != index) ++world_.violations;
    if (static_cast<int>(slots.size()) != world_.plan[index].slots) ++world_.violations;
    world_.At("start", index);
    for (const int slot : slots) {
      int& owner = owner_.at(static_cast<size_t>(slot));
      if (owner >= 0) ++world_.violations;
      owner = slots[0];
      if (frames_[static_cast<size_t>(slot)] < world_.plan[index].frames) ++world_.violations;
    }
    Flight flight;
    flight.index = index;
    flight.inputs = std::move(inputs);
    flights_[slots[0]] = std::move(flight);
    ++world_.starts;
    const std::lock_guard lock(world_.mutex);
    world_.start_order.push_back(index);
  }

  std::vector<int> Step() override {
    Check();
    if (flights_.empty()) ++world_.violations;
    world_.At("step", frames_.size());
    std::vector<int> ended;
    for (auto& [slot, flight] : flights_) {
      if (++flight.frames >= world_.plan[flight.index].frames) ended.push_back(slot);
    }
    return ended;
  }

  WriteOutputs Finish(int slot) override {
    Check();
    const size_t index = flights_.at(slot).index;
    world_.At("finish", index);
    if (flights_.at(slot).frames < world_.plan[index].frames) ++world_.violations;
    Free(slot);
    FakeWorld* const world = &world_;
    return [world, index] {
      world->At("write", index);
      const PlannedDialogue& dialogue = world->plan[index];
      DialogueOutcome outcome;
      outcome.audio_s = 0.08 * static_cast<double>(dialogue.frames);
      for (const std::string& output : dialogue.outputs) {
        const std::string content = Content(dialogue, output);
        if (!world->output_folder.empty()) {
          const auto path = std::filesystem::path(world->output_folder) / output;
          std::filesystem::create_directories(path.parent_path());
          base::WriteFileAtomically(path.string(), content);
        }
        outcome.files.push_back({output, Digest(content), static_cast<int64_t>(content.size())});
      }
      return outcome;
    };
  }

  void Drop(int slot) override {
    Check();
    if (!flights_.contains(slot)) ++world_.violations;
    Free(slot);
    ++world_.drops;
  }

 private:
  struct Flight {
    size_t index = 0;
    int64_t frames = 0;
    std::unique_ptr<LoadedDialogue> inputs;
  };

  void Check() {
    if (std::this_thread::get_id() != thread_) ++world_.violations;
  }
  void Free(int slot) {
    flights_.erase(slot);
    for (int& owner : owner_) {
      if (owner == slot) owner = -1;
    }
  }

  FakeWorld& world_;
  const std::vector<int64_t> frames_;
  const std::thread::id thread_ = std::this_thread::get_id();
  std::vector<int> owner_;
  std::map<int, Flight> flights_;
};

inline MakeRenderer FakeMaker(FakeWorld& world) {
  return [&world](const std::vector<int64_t>& frames) -> std::unique_ptr<Renderer> {
    {
      const std::lock_guard lock(world.mutex);
      world.made.push_back(static_cast<int>(frames.size()));
    }
    world.At("make", frames.size());
    return std::make_unique<FakeRenderer>(world, frames);
  };
}

inline LoadDialogue FakeLoader(FakeWorld& world) {
  return [&world](size_t index) -> std::unique_ptr<LoadedDialogue> {
    world.At("load", index);
    return std::make_unique<FakeInputs>(world, index);
  };
}

// Keeps what was reported.
struct MemorySink final : OutcomeSink {
  void Writing(size_t index) override {
    const std::lock_guard lock(mutex);
    writing.insert(index);
  }
  void Done(size_t index, const DialogueOutcome& outcome, int capacity) override {
    {
      const std::lock_guard lock(mutex);
      if (!writing.contains(index)) ++violations;
    }
    if (!done.emplace(index, outcome).second) ++violations;
    capacities.insert(capacity);
  }
  void Failed(size_t index, const std::string& error, base::ErrorCode code) override {
    if (!failed.emplace(index, std::pair(error, code)).second) ++violations;
  }

  std::mutex mutex;
  std::set<size_t> writing;
  std::map<size_t, DialogueOutcome> done;
  std::map<size_t, std::pair<std::string, base::ErrorCode>> failed;
  std::set<int> capacities;
  int violations = 0;
};

struct MemoryObserver final : BatchObserver {
  void Progress(const BatchSnapshot& snapshot) override { snapshots.push_back(snapshot); }
  void SteppedDown(const std::string& device, int from, int to, size_t dropped,
                   const std::string& why) override {
    steps_down.push_back(fmt::format("{} {}>{} dropped {}: {}", device, from, to, dropped, why));
  }
  void Failed(size_t index, const std::string& /*error*/) override { failed.insert(index); }

  std::vector<BatchSnapshot> snapshots;
  std::vector<std::string> steps_down;
  std::set<size_t> failed;
};

}  // namespace ppx::batch
