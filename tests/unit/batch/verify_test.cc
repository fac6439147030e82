#include "batch/verify.h"

#include <filesystem>
#include <string>
#include <vector>

#include "batch/state_lock.h"
#include "fake_renderer.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;
using testing::WriteFile;

TEST_CASE("every file against size and content; the report does not depend on threads") {
  const TempDir dir;
  const std::string state = MakeStateFolder(dir.path());
  std::string journal;
  for (int i = 0; i < 20; ++i) {
    const std::string id = fmt::format("d{:02}", i);
    fs::create_directories(dir.File(id));
    DoneEntry entry{id, "k", {}, 1, 1, "{}"};
    for (const char* const name : {"b.wav", "a.json"}) {
      const std::string content = id + name;
      WriteFile(dir.File(id + "/" + name), content);
      entry.files.push_back(
          {id + "/" + name, Digest(content), static_cast<int64_t>(content.size())});
    }
    journal += JournalLine(DoneText(i, entry));
  }
  const auto verify = [&](int threads) {
    Ledger ledger;
    ledger.Add(journal, "journal.jsonl");
    base::NoProgress progress;
    return Verify(dir.path(), ledger, threads, progress);
  };
  const VerifyReport good = verify(0);
  CHECK(good.ok());
  CHECK(good.dialogues == 20);
  CHECK(good.files == 40);
  CHECK(good.bytes == 20 * (8 + 9));

  fs::remove(dir.File("d03/b.wav"));
  WriteFile(dir.File("d03/a.json"), "d03a.jsoN");
  WriteFile(dir.File("d01/b.wav"), "longer than it was");
  fs::remove(dir.File("d07/b.wav"));
  fs::create_directory(dir.File("d07/b.wav"));
  fs::remove_all(dir.File("d09"));
  WriteFile(dir.File("d09"), "a file in place of the folder");
  WriteFile(dir.File("d05/.b.wav.abc123.tmp"), "");
  WriteFile(dir.File(".ppx-batch/.plan.jsonl.abc123.tmp"), "");
  journal += "damage\n";
  for (const int threads : {1, 2, 8}) {
    const VerifyReport report = verify(threads);
    CHECK_FALSE(report.ok());
    std::vector<std::string> told;
    for (const FileFinding& finding : report.findings) {
      told.push_back(finding.id + " " + finding.path + " " + finding.problem.substr(0, 7));
    }
    CHECK(told == std::vector<std::string>{"d01 d01/b.wav has 18 ", "d03 d03/b.wav is miss",
                                           "d03 d03/a.json has its", "d07 d07/b.wav is not ",
                                           "d09 d09/b.wav is miss", "d09 d09/a.json is miss"});
    CHECK(report.left_over ==
          std::vector<std::string>{".ppx-batch/.plan.jsonl.abc123.tmp", "d05/.b.wav.abc123.tmp"});
    CHECK(report.damage.size() == 1);
    CHECK(report.files == 40);
    CHECK(report.bytes == 20 * 17 - 8 - 8 - 9 - 8 - 17);
  }
  // A dialogue that is to be made again has no files to be looked at.
  journal += JournalLine(RedoText(99, "d03"));
  CHECK(verify(1).findings.size() == 4);
}

TEST_CASE("an interrupt ends it") {
  const TempDir dir;
  WriteFile(dir.File("f"), "x");
  Ledger ledger;
  ledger.Add(JournalLine(DoneText(0, {"a", "k", {{"f", Digest("x"), 1}}, 1, 1, "{}"})), "j");
  const std::atomic<bool> interrupt{true};
  base::NoProgress progress;
  CHECK(testing::ErrorOf([&] { Verify(dir.path(), ledger, 2, progress, &interrupt); }).code ==
        base::ErrorCode::kInterrupted);
}

}  // namespace
}  // namespace ppx::batch
