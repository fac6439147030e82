#include "batch/todo.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "batch/journal_sink.h"
#include "fake_renderer.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;
using testing::TempDir;
using testing::WriteFile;

// Renders all of `plan` into the folder and returns the ledger after it.
Ledger Render(const Plan& plan, const std::string& folder) {
  FakeWorld world(plan);
  world.output_folder = folder;
  const Ledger before = Ledger::Read(folder);
  {
    JournalWriter writer((fs::path(folder) / "journal.jsonl").string(), before.next_seq());
    JournalSink sink(plan, before, writer);
    MemoryObserver observer;
    const std::vector<Device> devices = {{"fake", 2, FakeMaker(world)}};
    RunBatch(plan, All(plan), FakeLoader(world), devices, {}, observer, sink);
  }
  return Ledger::Read(folder);
}

TEST_CASE("what is done is not done again; what is missing, changed or of other settings is") {
  const TempDir dir;
  Plan plan = MakePlan({3, 4, 5, 6});
  const TodoList fresh = Todo(plan, Ledger::Read(dir.path()), {}, dir.path(), CheckFiles::kSize);
  CHECK(fresh.todo == All(plan));
  CHECK(fresh.fresh == 4);
  const Ledger ledger = Render(plan, dir.path());
  const auto todo = [&](CheckFiles check = CheckFiles::kSize) {
    return Todo(plan, ledger, {}, dir.path(), check);
  };
  CHECK(todo().todo.empty());
  CHECK(todo().done == 4);
  CHECK(todo().done_audio_s == doctest::Approx(18 * 0.08));

  SUBCASE("a file is missing") {
    fs::remove(dir.File("d1/text.json"));
    CHECK(todo().todo == std::vector<size_t>{1});
    CHECK(todo().damaged == 1);
    CHECK(todo().damaged_ids == std::vector<std::string>{"d1"});
  }
  SUBCASE("a file has another size, or is none") {
    WriteFile(dir.File("d2/output.wav"), "short");
    fs::remove(dir.File("d3/output.wav"));
    fs::create_directory(dir.File("d3/output.wav"));
    CHECK(todo().todo == std::vector<size_t>{2, 3});
  }
  SUBCASE("same size, other content: only the hash tells") {
    std::string content = testing::ReadFile(dir.File("d0/output.wav"));
    content[3] ^= 1;
    WriteFile(dir.File("d0/output.wav"), content);
    CHECK(todo().todo.empty());
    CHECK(todo(CheckFiles::kHash).todo == std::vector<size_t>{0});

    // A damaged journal is a reason to look closer.
    Ledger damaged = Ledger::Read(dir.path());
    damaged.Add("damage\n", "journal.1-of-2.jsonl");
    CHECK(Todo(plan, damaged, {}, dir.path(), CheckFiles::kSize).todo == std::vector<size_t>{0});
  }
  SUBCASE("another key") {
    plan[2].key = "other";
    CHECK(todo().todo == std::vector<size_t>{2});
    CHECK(todo().old_key == 1);
    CHECK(todo().damaged_ids.empty());
  }
  SUBCASE("a new dialogue, one that failed, one that is not asked for any more") {
    plan.erase(plan.begin());
    plan.push_back({"failed", "k", 1, 1, {}});
    plan.push_back({"new", "k", 1, 1, {}});
    Ledger with_failure = Ledger::Read(dir.path());
    with_failure.Add(JournalLine(FailedText(100, {"failed", "k", "why", {}})), "j");
    const TodoList list = Todo(plan, with_failure, {}, dir.path(), CheckFiles::kSize);
    CHECK(list.todo == std::vector<size_t>{3, 4});
    CHECK(list.failed_before == 1);
    CHECK(list.fresh == 1);
    CHECK(list.done == 3);
  }
  SUBCASE("an interrupt") {
    const std::atomic<bool> interrupt{true};
    CHECK(ErrorOf([&] {
            Todo(plan, ledger, {}, dir.path(), CheckFiles::kHash, &interrupt);
          }).code == base::ErrorCode::kInterrupted);
  }
}

TEST_CASE("shards share the work without gap or overlap") {
  const TempDir dir;
  const Plan plan = MakePlan(std::vector<int64_t>(200, 1));
  std::vector<int> owners(plan.size());
  for (int index = 1; index <= 3; ++index) {
    const TodoList list = Todo(plan, {}, {index, 3}, dir.path(), CheckFiles::kSize);
    CHECK(list.todo.size() + list.other_shards == plan.size());
    CHECK(std::is_sorted(list.todo.begin(), list.todo.end()));
    for (const size_t i : list.todo) ++owners[i];
  }
  CHECK(owners == std::vector<int>(plan.size(), 1));
}

TEST_CASE("new settings, a kill while files are replaced, old settings again: not done") {
  const TempDir dir;
  const Plan old_plan = MakePlan({3});
  const Ledger old_ledger = Render(old_plan, dir.path());
  Plan new_plan = old_plan;
  new_plan[0].key = "k" + old_plan[0].key.substr(1);  // files of the same sizes
  {
    JournalWriter writer(dir.File("journal.jsonl"), old_ledger.next_seq());
    JournalSink sink(new_plan, old_ledger, writer);
    sink.Writing(0);
    // Killed here, some files replaced.
  }
  const Ledger ledger = Ledger::Read(dir.path());
  CHECK(Todo(old_plan, ledger, {}, dir.path(), CheckFiles::kSize).todo.size() == 1);
  CHECK(Todo(new_plan, ledger, {}, dir.path(), CheckFiles::kSize).todo.size() == 1);
  // Under the same key the new files are the old ones: nothing to say.
  {
    JournalWriter writer(dir.File("journal.jsonl"), old_ledger.next_seq());
    JournalSink sink(old_plan, old_ledger, writer);
    const std::string before = testing::ReadFile(dir.File("journal.jsonl"));
    sink.Writing(0);
    CHECK(testing::ReadFile(dir.File("journal.jsonl")) == before);
  }
}

TEST_CASE("left-overs beside outputs go, others stay") {
  const TempDir dir;
  const Plan plan = MakePlan({1, 1, 1});
  fs::create_directories(dir.File("d0"));
  fs::create_directories(dir.File("d1"));
  const std::vector<std::string> gone = {"d0/.output.wav.aaaaaa.tmp", "d0/.text.json.bbbbbb.tmp"};
  const std::vector<std::string> kept = {"d0/output.wav", "d0/.other.wav.aaaaaa.tmp",
                                         "d1/.output.wav.aaaaaa.tmp", "d0/.output.wav.tmp"};
  for (const auto* list : {&gone, &kept}) {
    for (const std::string& name : *list) WriteFile(dir.File(name), "x");
  }
  fs::create_directories(dir.File("elsewhere"));
  WriteFile(dir.File("elsewhere/.target.cccccc.tmp"), "x");
  fs::create_symlink("../elsewhere/target", dir.File("d0/link"));
  Plan with_link = plan;
  with_link[0].outputs.push_back("d0/link");
  const std::vector<size_t> todo = {0, 2};  // d2 has no folder yet
  RemoveLeftOvers(with_link, todo, dir.path());
  for (const std::string& name : gone) CHECK_FALSE(fs::exists(dir.File(name)));
  for (const std::string& name : kept) CHECK(fs::exists(dir.File(name)));
  CHECK_FALSE(fs::exists(dir.File("elsewhere/.target.cccccc.tmp")));
}

}  // namespace
}  // namespace ppx::batch
