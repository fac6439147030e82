#include "batch/merge.h"

#include <filesystem>
#include <string>
#include <vector>

#include "fake_renderer.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;
using testing::ReadFile;
using testing::TempDir;
using testing::WriteFile;

std::string Done(int64_t seq, const std::string& id, const std::string& key) {
  return JournalLine(DoneText(seq, {id, key, {{id + "/o", "s", seq}}, 1.0, 4, "{}"}));
}
std::string Failed(int64_t seq, const std::string& id, const std::string& key,
                   const std::string& error) {
  return JournalLine(FailedText(seq, {id, key, error, base::ErrorCode::kBadInput}));
}
std::string Redo(int64_t seq, const std::string& id) { return JournalLine(RedoText(seq, id)); }

Plan PlanOf(const std::vector<std::string>& ids) {
  Plan plan;
  for (const std::string& id : ids) plan.push_back({id, "k-" + id, 1, 1, {}});
  return plan;
}

TEST_CASE("shards' journals become one, and gaps are told with their reasons") {
  const TempDir dir;
  const Plan plan = PlanOf({"f", "a", "b", "c", "d", "e"});
  WriteFile(dir.File("journal.1-of-2.jsonl"),
            JournalLine(RunText(0, R"({"shard":"1/2"})")) + Done(1, "a", "k-a") +
                Failed(2, "b", "k-b", "in.wav: no samples") + Done(3, "gone", "k"));
  WriteFile(dir.File("journal.2-of-2.jsonl"),
            JournalLine(RunText(0, R"({"shard":"2/2"})")) + Done(1, "c", "old") +
                Done(2, "d", "k-d") + Redo(3, "d") + Failed(4, "f", "old", "old failure") +
                "damage\n" + Done(5, "e", "k-e").substr(0, 20));
  WriteFile(dir.File("plan.jsonl"), "");
  WriteFile(dir.File(".journal.jsonl.abcdef.tmp"), "left over");
  const MergeReport report = Merge(dir.path(), {}, plan);
  CHECK(report.journals == 2);
  CHECK(report.planned == 6);
  CHECK(report.done == 1);
  CHECK(report.not_in_plan == 1);
  CHECK(report.damage.size() == 1);
  std::vector<std::string> gaps;
  for (const Gap& gap : report.gaps) gaps.push_back(gap.id + ": " + gap.reason);
  CHECK(gaps == std::vector<std::string>{"f: not done", "b: failed: in.wav: no samples",
                                         "c: done with other inputs or settings", "d: not done",
                                         "e: not done"});
  CHECK_FALSE(fs::exists(dir.File("journal.1-of-2.jsonl")));
  CHECK_FALSE(fs::exists(dir.File("journal.2-of-2.jsonl")));
  CHECK(dir.CountEntries() == 2);

  const Ledger ledger = Ledger::Read(dir.path());
  CHECK_FALSE(ledger.damaged());
  CHECK(ledger.Runs().size() == 2);
  CHECK(ledger.Done("a")->files[0].bytes == 1);
  CHECK(ledger.Done("c")->key == "old");
  CHECK(ledger.Done("d") == nullptr);
  CHECK(ledger.Failed("b")->key == "k-b");

  // Again: nothing changes.
  const std::string before = ReadFile(dir.File("journal.jsonl"));
  const MergeReport again = Merge(dir.path(), {}, plan);
  CHECK(ReadFile(dir.File("journal.jsonl")) == before);
  CHECK(again.done == 1);
  CHECK(again.gaps.size() == 5);
  CHECK(again.damage.empty());

  // A merge that was killed before the shards' journals were gone.
  WriteFile(dir.File("journal.1-of-2.jsonl"), Done(1, "a", "k-a"));
  CHECK(Merge(dir.path(), {}, plan).done == 1);
  CHECK(ReadFile(dir.File("journal.jsonl")) == before);
}

TEST_CASE("a journal of one shard with the older entries of another count of shards") {
  const TempDir dir;
  WriteFile(dir.File("journal.jsonl"), Done(9, "a", "k-a"));
  WriteFile(dir.File("journal.1-of-2.jsonl"), Done(3, "a", "old") + Redo(4, "a"));
  const MergeReport report = Merge(dir.path(), {}, PlanOf({"a"}));
  CHECK(report.done == 1);
  CHECK(report.gaps.empty());
}

TEST_CASE("several machines' copies") {
  const TempDir dir;
  for (const char* const name : {"one", "two", "three", "empty"})
    fs::create_directory(dir.File(name));
  const Plan plan = PlanOf({"a", "b", "c", "d"});
  WriteFile(dir.File("one/journal.jsonl"),
            Done(50, "a", "old") + Failed(51, "b", "k-b", "here it failed") + Done(52, "c", "old"));
  WriteFile(dir.File("two/journal.1-of-2.jsonl"), Done(1, "a", "k-a") + Done(2, "b", "k-b"));
  WriteFile(dir.File("three/journal.jsonl"), Done(60, "c", "older or newer") + Done(1, "d", "k-d"));
  const std::vector<std::string> others = {dir.File("two"), dir.File("three")};
  const MergeReport report = Merge(dir.File("one"), others, plan);
  CHECK(report.journals == 3);
  CHECK(report.done == 3);
  REQUIRE(report.gaps.size() == 1);
  CHECK(report.gaps[0].id == "c");
  const Ledger ledger = Ledger::Read(dir.File("one"));
  CHECK(ledger.Done("a")->key == "k-a");
  CHECK(ledger.Done("b")->key == "k-b");
  CHECK(ledger.Done("c")->key == "older or newer");
  CHECK(fs::exists(dir.File("two/journal.1-of-2.jsonl")));

  const std::vector<std::string> empty = {dir.File("empty")};
  const auto thrown = ErrorOf([&] { Merge(dir.File("one"), empty, plan); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("empty"));
  CHECK(Ledger::Read(dir.File("one")).Done("a") != nullptr);
}

}  // namespace
}  // namespace ppx::batch
