#include "batch/scheduler.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "batch/dialogue_queue.h"
#include "batch/slot_frames.h"
#include "fake_renderer.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::batch {
namespace {

using testing::ErrorOf;

[[noreturn]] void OutOfMemory() {
  throw base::Error(base::ErrorCode::kOutOfMemory, "no memory left");
}

std::vector<Device> Devices(FakeWorld& world, const std::vector<int>& slots) {
  std::vector<Device> devices;
  for (size_t i = 0; i < slots.size(); ++i) {
    devices.push_back({fmt::format("fake:{}", i), slots[i], FakeMaker(world)});
  }
  return devices;
}

struct Outcome {
  BatchResult result;
  MemorySink sink;
  MemoryObserver observer;
};

void Run(FakeWorld& world, const std::vector<int>& slots, Outcome& outcome,
         const BatchOptions& options = {}, std::vector<size_t> todo = {}) {
  if (todo.empty()) todo = All(world.plan);
  const auto devices = Devices(world, slots);
  outcome.result = RunBatch(world.plan, todo, FakeLoader(world), devices, options, outcome.observer,
                            outcome.sink);
  CHECK(outcome.result.done + outcome.result.failed + outcome.result.not_done == todo.size());
  CHECK(outcome.result.done == outcome.sink.done.size());
  CHECK(outcome.result.failed == outcome.sink.failed.size());
}

// Also after a throw: nothing stays behind and no renderer was misused.
void CheckClean(const FakeWorld& world, const MemorySink& sink) {
  CHECK(world.loaded_now == 0);
  CHECK(world.violations == 0);
  CHECK(sink.violations == 0);
}

void CheckContents(const FakeWorld& world, const MemorySink& sink) {
  for (const auto& [index, outcome] : sink.done) {
    const PlannedDialogue& dialogue = world.plan[index];
    REQUIRE(outcome.files.size() == dialogue.outputs.size());
    for (size_t i = 0; i < outcome.files.size(); ++i) {
      CHECK(outcome.files[i].sha256 == Digest(Content(dialogue, dialogue.outputs[i])));
    }
  }
}

Plan RandomPlan(size_t count, unsigned seed, bool with_pairs) {
  std::mt19937 random(seed);
  std::vector<int64_t> frames;
  for (size_t i = 0; i < count; ++i) frames.push_back(1 + static_cast<int64_t>(random() % 40));
  Plan plan = MakePlan(frames);
  for (PlannedDialogue& dialogue : plan) {
    if (with_pairs && random() % 4 == 0) dialogue.slots = 2;
  }
  return plan;
}

TEST_CASE("every dialogue is done once, whatever the devices, the order and the neighbours") {
  for (const bool pairs : {false, true}) {
    const Plan plan = RandomPlan(120, 1, pairs);
    std::mt19937 random(2);
    for (const std::vector<int>& slots :
         {std::vector<int>{2}, {7}, {64}, {3, 5}, {2, 1}, {8, 8, 8, 8}}) {
      FakeWorld world(plan);
      std::vector<size_t> todo = All(plan);
      std::shuffle(todo.begin(), todo.end(), random);
      Outcome outcome;
      Run(world, slots, outcome, {}, todo);
      CHECK(outcome.result.done == plan.size());
      CHECK_FALSE(outcome.result.interrupted);
      CHECK(world.starts == static_cast<int>(plan.size()));
      CHECK(world.drops == 0);
      CheckContents(world, outcome.sink);
      CheckClean(world, outcome.sink);
    }
  }
}

TEST_CASE("only what is asked for; nothing asked for") {
  const Plan plan = MakePlan({3, 4, 5});
  FakeWorld world(plan);
  Outcome outcome;
  Run(world, {2}, outcome, {}, {2, 0});
  CHECK(outcome.sink.done.contains(0));
  CHECK(outcome.sink.done.contains(2));
  CHECK(outcome.sink.done.size() == 2);

  Outcome none;
  const auto devices = Devices(world, {2});
  none.result = RunBatch(plan, {}, FakeLoader(world), devices, {}, none.observer, none.sink);
  CHECK(none.result.done == 0);
  CHECK(none.observer.snapshots.size() == 1);
  CHECK(world.made.size() == 1);
}

TEST_CASE("the longest goes first, equals in the order of the plan") {
  const Plan plan = MakePlan({5, 9, 5, 1, 9, 7});
  FakeWorld world(plan);
  Outcome outcome;
  BatchOptions options;
  options.load_threads = 1;
  Run(world, {1}, outcome, options, {5, 4, 3, 2, 1, 0});
  CHECK(world.start_order == std::vector<size_t>{1, 4, 5, 0, 2, 3});
}

TEST_CASE("dialogues join and leave between steps: no slot is idle while something waits") {
  const Plan plan = MakePlan(std::vector<int64_t>(40, 10));
  FakeWorld world(plan);
  // Steps slow enough for the loading threads to keep up.
  world.on = [](const std::string& what, size_t) {
    if (what == "step") std::this_thread::sleep_for(std::chrono::milliseconds(2));
  };
  Outcome outcome;
  BatchOptions options;
  options.load_ahead = 8;
  Run(world, {8}, outcome, options);
  const DeviceStats& stats = outcome.result.devices[0];
  CHECK(stats.slot_steps == 400);
  CHECK(stats.steps <= 60);  // 50 with all slots full from the first step on
  CHECK(stats.slot_steps_possible == 8 * stats.steps);
  CHECK(stats.slots == 8);
}

TEST_CASE("inputs are loaded a few ahead and not more") {
  const Plan plan = MakePlan(std::vector<int64_t>(200, 3));
  FakeWorld world(plan);
  world.on = [](const std::string& what, size_t) {
    if (what == "step") std::this_thread::sleep_for(std::chrono::microseconds(200));
  };
  Outcome outcome;
  BatchOptions options;
  options.load_ahead = 3;
  options.load_threads = 2;
  Run(world, {5}, outcome, options);
  CHECK(outcome.result.done == 200);
  CHECK(world.most_loaded <= 5 + 3);
  CHECK(world.most_loaded >= 5);
}

TEST_CASE("a dialogue of two slots is passed by others, but is not left for the end") {
  // Dialogues of one slot end one at a time, so two slots are never free by chance.
  std::vector<int64_t> frames(600, 0);
  for (size_t i = 0; i < frames.size(); ++i) frames[i] = 20 + static_cast<int64_t>(i % 17);
  Plan plan = MakePlan(frames);
  plan[0].frames = 1000;
  plan[0].slots = 2;
  plan[1].frames = 1001;
  FakeWorld world(plan);
  Outcome outcome;
  Run(world, {2}, outcome);
  CHECK(outcome.result.done == plan.size());
  const auto place = std::find(world.start_order.begin(), world.start_order.end(), 0U);
  CHECK(place - world.start_order.begin() < 200);
  CheckClean(world, outcome.sink);
}

TEST_CASE("more slots than any device has: a failure with its reason") {
  Plan plan = MakePlan({3, 4, 5});
  plan[1].slots = 2;
  FakeWorld world(plan);
  Outcome outcome;
  Run(world, {1, 1}, outcome);
  CHECK(outcome.result.done == 2);
  REQUIRE(outcome.sink.failed.contains(1));
  CHECK(outcome.sink.failed[1].first.find("needs 2 slots") != std::string::npos);
  CHECK(outcome.sink.failed[1].first.find("fake:1 has 1") != std::string::npos);
  CHECK(outcome.sink.failed[1].second == base::ErrorCode::kResource);
  CHECK(outcome.observer.failed == std::set<size_t>{1});

  FakeWorld other(plan);
  Outcome room;
  Run(other, {1, 2}, room);
  CHECK(room.result.done == 3);
}

TEST_CASE("a failure of one dialogue is one failure") {
  const Plan plan = MakePlan({4, 5, 6, 7, 8});
  for (const bool pass_by_std : {false, true}) {
    FakeWorld world(plan);
    world.on = [&](const std::string& what, size_t number) {
      if (what == "load" && number == 1) {
        if (pass_by_std) throw std::runtime_error("in.wav: no samples");
        base::ThrowBadInput("in.wav: no samples");
      }
      if (what == "start" && number == 2) base::ThrowUsage("a prompt that is too long");
      if (what == "write" && number == 3) {
        if (pass_by_std) throw std::runtime_error("cannot write");
        base::ThrowUsage("cannot write");
      }
    };
    Outcome outcome;
    Run(world, {2}, outcome);
    CHECK(outcome.result.done == 2);
    CHECK(outcome.sink.failed.size() == 3);
    CHECK(outcome.sink.failed[1].first == "in.wav: no samples");
    CHECK(outcome.sink.failed[1].second ==
          (pass_by_std ? base::ErrorCode::kInternal : base::ErrorCode::kBadInput));
    CHECK(outcome.sink.failed[2].first == "a prompt that is too long");
    CHECK(outcome.sink.failed[3].first == "cannot write");
    CHECK_FALSE(outcome.result.too_many_failures);
    CheckContents(world, outcome.sink);
    CheckClean(world, outcome.sink);
  }
}

TEST_CASE("all fail") {
  const Plan plan = MakePlan(std::vector<int64_t>(30, 2));
  for (const char* const where : {"load", "start", "write"}) {
    FakeWorld world(plan);
    world.on = [&](const std::string& what, size_t) {
      if (what == where) base::ThrowBadInput("bad");
    };
    Outcome outcome;
    Run(world, {4, 4}, outcome);
    CHECK(outcome.result.failed == 30);
    CHECK(outcome.observer.failed.size() == 30);
    CheckClean(world, outcome.sink);
  }
}

TEST_CASE("max_failures ends the run early") {
  const Plan plan = MakePlan(std::vector<int64_t>(500, 5));
  for (const char* const where : {"load", "start", "write"}) {
    FakeWorld world(plan);
    world.on = [&](const std::string& what, size_t number) {
      if (what == where && number % 10 == 0) base::ThrowBadInput("bad");
      if (what == "step") std::this_thread::sleep_for(std::chrono::microseconds(100));
    };
    Outcome outcome;
    BatchOptions options;
    options.max_failures = 3;
    Run(world, {2}, outcome, options);
    CHECK(outcome.result.too_many_failures);
    CHECK(outcome.result.failed >= 4);
    CHECK(outcome.result.failed < 30);
    CHECK(outcome.result.not_done > 300);
    CheckClean(world, outcome.sink);
  }
  FakeWorld world(plan);
  world.on = [&](const std::string& what, size_t number) {
    if (what == "load" && number < 3) base::ThrowBadInput("bad");
  };
  Outcome enough;
  BatchOptions options;
  options.max_failures = 3;
  Run(world, {2}, enough, options);
  CHECK(enough.result.failed == 3);
  CHECK(enough.result.done == 497);
  CHECK_FALSE(enough.result.too_many_failures);
}

TEST_CASE("out of memory: half the slots, and what was in flight begins again") {
  const Plan plan = RandomPlan(100, 3, true);
  for (const char* const where : {"make", "start", "step", "finish"}) {
    INFO(where);
    FakeWorld world(plan);
    std::atomic<int> slots_now{0};
    world.on = [&](const std::string& what, size_t number) {
      if (what == "make") slots_now = static_cast<int>(number);
      if (what != where) return;
      if (slots_now > 4 && (what == "make" || world.starts % 20 >= 5)) OutOfMemory();
    };
    Outcome outcome;
    Run(world, {16}, outcome);
    CHECK(outcome.result.done == plan.size());
    CHECK(world.made == std::vector<int>{16, 8, 4});
    CHECK(outcome.result.devices[0].step_downs == 2);
    CHECK(outcome.result.devices[0].slots == 4);
    REQUIRE(outcome.observer.steps_down.size() == 2);
    CHECK(outcome.observer.steps_down[0].starts_with("fake:0 16>8 dropped "));
    CHECK(outcome.observer.steps_down[1].ends_with(": no memory left"));
    CheckContents(world, outcome.sink);
    CheckClean(world, outcome.sink);
  }
}

TEST_CASE("out of memory on one device of two leaves the other alone") {
  const Plan plan = MakePlan(std::vector<int64_t>(60, 10));
  FakeWorld world(plan);
  world.on = [&](const std::string& what, size_t number) {
    if (what == "step") {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      if (number == 8 || number == 4) OutOfMemory();
    }
  };
  Outcome outcome;
  Run(world, {8, 3}, outcome);
  CHECK(outcome.result.done == 60);
  CHECK(outcome.result.devices[1].slots == 3);
  CHECK(outcome.result.devices[1].step_downs == 0);
  CheckContents(world, outcome.sink);
  CheckClean(world, outcome.sink);
}

TEST_CASE("the fewest slots and still out of memory: the end, with a way on") {
  for (const int pair : {1, 2}) {
    Plan plan = MakePlan(std::vector<int64_t>(10, 5), pair);
    FakeWorld world(plan);
    world.on = [&](const std::string& what, size_t) {
      if (what == "step") OutOfMemory();
    };
    Outcome outcome;
    const auto thrown = ErrorOf([&] { Run(world, {5}, outcome); });
    CHECK(thrown.code == base::ErrorCode::kResource);
    CHECK(thrown.Mentions("no memory left"));
    CHECK(thrown.Mentions(pair == 1 ? "with 1 slot," : "with 2 slots,"));
    CHECK(world.made == (pair == 1 ? std::vector<int>{5, 2, 1} : std::vector<int>{5, 2}));
    CheckClean(world, outcome.sink);
  }
}

TEST_CASE("a device that steps down to one slot cannot do dialogues of two any more") {
  Plan plan = MakePlan(std::vector<int64_t>(20, 5));
  for (size_t i = 0; i < plan.size(); i += 2) plan[i].slots = 2;
  const auto run = [&](const std::vector<int>& slots, Outcome& outcome) {
    FakeWorld world(plan);
    world.on = [&](const std::string& what, size_t number) {
      if (what == "step" && number == 2) OutOfMemory();
    };
    Run(world, slots, outcome);
    CheckContents(world, outcome.sink);
    CheckClean(world, outcome.sink);
  };
  Outcome alone;
  run({2}, alone);
  CHECK(alone.result.done == 10);
  CHECK(alone.result.failed == 10);
  CHECK(alone.sink.failed[0].first.find("fake:0 has 1") != std::string::npos);
  Outcome helped;
  run({2, 3}, helped);
  CHECK(helped.result.done == 20);
}

TEST_CASE("a renderer with other slots than it was asked for") {
  const Plan plan = MakePlan({5, 5, 5});
  FakeWorld world(plan);
  const std::vector<Device> devices = {
      {"fake", 2, [&](const std::vector<int64_t>&) {
         return std::make_unique<FakeRenderer>(world, std::vector<int64_t>{5, 5, 5});
       }}};
  MemoryObserver observer;
  MemorySink sink;
  const auto thrown =
      ErrorOf([&] { RunBatch(plan, All(plan), FakeLoader(world), devices, {}, observer, sink); });
  CHECK(thrown.code == base::ErrorCode::kInternal);
  CHECK(thrown.Mentions("fake"));
  CheckClean(world, sink);
}

TEST_CASE("slots are as long as the longest dialogues") {
  Plan plan = MakePlan({5, 40, 7, 30, 7, 1});
  const std::vector<size_t> all = All(plan);
  CHECK(SlotFrames(plan, all, 1, 3) == std::vector<int64_t>{40, 30, 7});
  CHECK(SlotFrames(plan, all, 1, 8) == std::vector<int64_t>{40, 30, 7, 7, 5, 1, 1, 1});
  CHECK(SlotFrames(plan, all, 2, 4) == std::vector<int64_t>{40, 7, 5, 1});
  CHECK(SlotFrames(plan, std::vector<size_t>{0, 2}, 1, 2) == std::vector<int64_t>{7, 5});
  CHECK(SlotFrames(plan, {}, 1, 2) == std::vector<int64_t>{1, 1});
  plan[3].slots = 2;
  CHECK(SlotFrames(plan, all, 1, 4) == std::vector<int64_t>{40, 30, 30, 7});
  // Two devices share the pair's slots, but one of them has to hold both.
  CHECK(SlotFrames(plan, all, 2, 4) == std::vector<int64_t>{40, 30, 7, 1});
  plan[3].slots = 3;
  CHECK(SlotFrames(plan, all, 3, 4) == std::vector<int64_t>{40, 30, 30, 1});
  CHECK(SlotFrames(plan, all, 3, 2) == std::vector<int64_t>{40, 30});
}

TEST_CASE("a long dialogue whose slot was taken waits for one that is long enough") {
  // The longest is loaded last: a shorter one has its slot by then.
  std::vector<int64_t> frames{400, 300};
  for (int i = 0; i < 100; ++i) frames.push_back(20);
  const Plan plan = MakePlan(frames);
  FakeWorld world(plan);
  world.on = [&](const std::string& what, size_t number) {
    if (what == "load" && number == 0) {
      while (world.starts < 10) std::this_thread::yield();
    }
    if (what == "step") std::this_thread::sleep_for(std::chrono::microseconds(20));
  };
  Outcome outcome;
  Run(world, {3}, outcome);
  CHECK(outcome.result.done == plan.size());
  const auto place = std::find(world.start_order.begin(), world.start_order.end(), 0U);
  CHECK(place - world.start_order.begin() >= 10);
  CHECK(place - world.start_order.begin() < 30);
  CheckContents(world, outcome.sink);
  CheckClean(world, outcome.sink);
}

TEST_CASE("who gets which slots, and what is kept for a dialogue that waits") {
  std::vector<int64_t> frames(200, 10);
  frames[0] = 100;
  frames[1] = 50;
  Plan plan = MakePlan(frames);
  plan[0].slots = 2;
  FakeWorld world(plan);
  const std::vector<int> capacities{4};
  DialogueQueue queue(plan, All(plan), capacities, 1000);
  REQUIRE(queue.Frames(0) == std::vector<int64_t>{100, 100, 50, 10});
  for (size_t i = 0; i < plan.size(); ++i) {
    const size_t index = *queue.NextToLoad();
    CHECK(queue.Ready(index, std::make_unique<FakeInputs>(world, index)));
  }
  uint64_t seen = 0;
  const auto taken = [&](const std::set<int>& free) {
    const auto dialogue = queue.Take(0, free, seen);
    return dialogue ? std::pair(dialogue->index, dialogue->slots)
                    : std::pair(plan.size(), std::vector<int>{});
  };
  using Taken = std::pair<size_t, std::vector<int>>;
  // The pair has one slot of two; the others take the shortest that they fit into.
  CHECK(taken({1, 2, 3}) == Taken{1, {2}});
  CHECK(taken({1, 3}) == Taken{2, {3}});
  size_t next = 3;
  for (; next < 60; ++next) CHECK(taken({1, 3}) == Taken{next, {3}});
  // In a slot that the pair could have had it is passed, but not without end.
  const size_t before = next;
  for (Taken got = taken({1}); got.first < plan.size(); got = taken({1})) {
    CHECK(got == Taken{next++, {1}});
  }
  CHECK(next - before > 10);
  CHECK(next - before < 100);
  CHECK(taken({1, 3}) == Taken{next, {3}});
  CHECK(taken({0, 1, 3}) == Taken{0, {0, 1}});
  CHECK(taken({0, 1}) == Taken{next + 1, {1}});
}

TEST_CASE("an interrupt: nothing new, what is in flight is dropped, what has ended is written") {
  const Plan plan = MakePlan(std::vector<int64_t>(2000, 20));
  FakeWorld world(plan);
  std::atomic<bool> interrupt{false};
  std::atomic<int> finished{0};
  world.on = [&](const std::string& what, size_t) {
    if (what == "step") std::this_thread::sleep_for(std::chrono::microseconds(300));
    if (what == "finish" && ++finished == 20) interrupt = true;
    if (what == "write") std::this_thread::sleep_for(std::chrono::milliseconds(2));
  };
  Outcome outcome;
  BatchOptions options;
  options.interrupt = &interrupt;
  Run(world, {4, 4}, outcome, options);
  CHECK(outcome.result.interrupted);
  CHECK(outcome.result.not_done > 1000);
  CHECK(outcome.result.done == static_cast<size_t>(finished.load()));
  CHECK(world.drops + finished == world.starts);
  CheckContents(world, outcome.sink);
  CheckClean(world, outcome.sink);
}

TEST_CASE("interrupted before it begins, while loading, by any call") {
  const Plan plan = MakePlan(std::vector<int64_t>(50, 5));
  std::atomic<bool> interrupt{true};
  for (const char* const where : {"", "load", "start", "step", "write"}) {
    INFO(where);
    FakeWorld world(plan);
    world.on = [&](const std::string& what, size_t) {
      if (what == where) throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
      if (what == "step") std::this_thread::sleep_for(std::chrono::milliseconds(5));
    };
    Outcome outcome;
    BatchOptions options;
    if (*where == '\0') options.interrupt = &interrupt;
    Run(world, {2, 2}, outcome, options);
    CHECK(outcome.result.interrupted);
    CHECK(outcome.result.failed == 0);
    CHECK(outcome.result.not_done > 0);
    CheckClean(world, outcome.sink);
  }
}

TEST_CASE("what ends a batch for all is thrown again, with all threads ended") {
  const Plan plan = MakePlan(std::vector<int64_t>(200, 5));
  const auto run = [&](const std::string& where, base::ErrorCode code) {
    FakeWorld world(plan);
    std::atomic<int> calls{0};
    world.on = [&](const std::string& what, size_t) {
      if (what == where && ++calls >= 10) throw base::Error(code, "at " + where);
    };
    Outcome outcome;
    const auto thrown = ErrorOf([&] { Run(world, {2, 2, 2}, outcome); });
    CheckClean(world, outcome.sink);
    CheckContents(world, outcome.sink);
    CHECK(outcome.sink.done.size() < plan.size());
    CHECK(outcome.sink.failed.empty());
    return thrown;
  };
  CHECK(run("step", base::ErrorCode::kInternal).message == "at step");
  CHECK(run("step", base::ErrorCode::kResource).code == base::ErrorCode::kResource);
  CHECK(run("finish", base::ErrorCode::kInternal).message == "at finish");
  CHECK(run("write", base::ErrorCode::kResource).message == "at write");

  FakeWorld world(plan);
  world.on = [](const std::string& what, size_t) {
    if (what == "step") throw std::runtime_error("of another kind");
  };
  Outcome outcome;
  CHECK_THROWS_WITH_AS(Run(world, {2}, outcome), "of another kind", std::runtime_error);
  CheckClean(world, outcome.sink);

  FakeWorld none(plan);
  const std::vector<Device> broken = {{"fake", 1, [](const auto&) { return nullptr; }}};
  CHECK(ErrorOf([&] {
          RunBatch(plan, All(plan), FakeLoader(none), broken, {}, outcome.observer, outcome.sink);
        }).code == base::ErrorCode::kInternal);
  CHECK(ErrorOf([&] {
          RunBatch(plan, All(plan), FakeLoader(none), {}, {}, outcome.observer, outcome.sink);
        }).code == base::ErrorCode::kInternal);
}

TEST_CASE("a journal or an observer that fails ends the batch") {
  const Plan plan = MakePlan(std::vector<int64_t>(200, 5));
  struct FailingSink final : OutcomeSink {
    void Done(size_t, const DialogueOutcome&, int) override {
      if (++calls == 3) base::ThrowResource("journal.jsonl: the disk is full");
    }
    void Failed(size_t, const std::string&, base::ErrorCode) override {}
    int calls = 0;
  };
  FakeWorld world(plan);
  FailingSink sink;
  MemoryObserver observer;
  const auto devices = Devices(world, {4});
  CHECK(ErrorOf([&] {
          RunBatch(plan, All(plan), FakeLoader(world), devices, {}, observer, sink);
        }).Mentions("disk is full"));
  CHECK(world.loaded_now == 0);

  struct FailingObserver final : BatchObserver {
    void Progress(const BatchSnapshot&) override { throw std::runtime_error("no terminal"); }
  };
  FailingObserver failing;
  MemorySink memory;
  FakeWorld slow(plan);
  slow.on = [](const std::string& what, size_t) {
    if (what == "step") std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  const auto slow_devices = Devices(slow, {1});
  CHECK_THROWS_AS(RunBatch(plan, All(plan), FakeLoader(slow), slow_devices, {}, failing, memory),
                  std::runtime_error);
  CheckClean(slow, memory);
  CHECK(memory.done.size() < plan.size());
}

TEST_CASE("progress: numbers that add up, at most about ten times a second") {
  const Plan plan = MakePlan(std::vector<int64_t>(60, 10));
  FakeWorld world(plan);
  world.on = [](const std::string& what, size_t) {
    if (what == "step") std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  Outcome outcome;
  Run(world, {8}, outcome);
  const auto& snapshots = outcome.observer.snapshots;
  REQUIRE(snapshots.size() >= 2);
  CHECK(static_cast<double>(snapshots.size()) <= outcome.result.elapsed_s * 10 + 2);
  bool in_flight = false;
  for (size_t i = 0; i < snapshots.size(); ++i) {
    const BatchSnapshot& now = snapshots[i];
    CHECK(now.total == 60);
    CHECK(now.frames_total == 600);
    CHECK(now.slots_used <= 8);
    CHECK(now.slots_used >= 0);
    CHECK(now.frames_in_flight >= 0);
    CHECK(now.frames_done + now.frames_in_flight <= 600);
    if (i > 0) CHECK(now.done >= snapshots[i - 1].done);
    if (i > 0) CHECK(now.frames_stepped >= snapshots[i - 1].frames_stepped);
    in_flight = in_flight || (now.slots_used > 0 && now.frames_in_flight > 0);
  }
  CHECK(in_flight);
  const BatchSnapshot& last = snapshots.back();
  CHECK(last.done == 60);
  CHECK(last.frames_done == 600);
  CHECK(last.frames_in_flight == 0);
  CHECK(last.frames_stepped == 600);
  CHECK(last.slots_used == 0);
  CHECK(last.audio_s_done == doctest::Approx(48));
}

TEST_CASE("a slow disk does not stop the steps until it is far behind") {
  const Plan plan = MakePlan(std::vector<int64_t>(24, 2));
  FakeWorld world(plan);
  world.on = [](const std::string& what, size_t) {
    if (what == "write") std::this_thread::sleep_for(std::chrono::milliseconds(10));
  };
  Outcome patient;
  BatchOptions options;
  options.write_behind = 100;
  Run(world, {4}, patient, options);
  CHECK(patient.result.devices[0].wait_write_s == 0);
  CHECK(patient.result.write_s >= 0.24);
  Outcome waiting;
  options.write_behind = 2;
  options.write_threads = 1;
  Run(world, {4}, waiting, options);
  CHECK(waiting.result.devices[0].wait_write_s > 0.1);
  CHECK(waiting.result.done == 24);
}

TEST_CASE("ten thousand dialogues on 64 slots; the scheduler costs little beside the steps") {
  std::mt19937 random(5);
  std::vector<int64_t> frames;
  for (int i = 0; i < 10'000; ++i) frames.push_back(1 + static_cast<int64_t>(random() % 20));
  Plan plan = MakePlan(frames);
  for (PlannedDialogue& dialogue : plan) dialogue.outputs.resize(1);
  FakeWorld world(plan);
  Outcome outcome;
  BatchOptions options;
  options.load_ahead = 16;
  Run(world, {64}, outcome, options);
  CHECK(outcome.result.done == 10'000);
  CHECK(world.most_loaded <= 64 + 16);
  CheckClean(world, outcome.sink);
  const DeviceStats& stats = outcome.result.devices[0];
  const double per_step_us = 1e6 * stats.overhead_s / static_cast<double>(stats.steps);
  // With a dialogue or two joining and leaving in every step, far more than real ones do; measured
  // at 50 us on a busy machine. The bound is for sanitized builds.
  CHECK(per_step_us < 5000);
}

}  // namespace
}  // namespace ppx::batch
