#include "batch/journal.h"

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/digest.h"
#include "batch/ledger.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

using nlohmann::json;
using testing::ErrorOf;
using testing::ReadFile;
using testing::TempDir;
using testing::WriteFile;

const DoneEntry kDone = {"suite/1", "k1", {{"suite/1/output.wav", std::string(64, 'a'), 17}},
                         1.25,      8,    R"({"clipped":0})"};

TEST_CASE("names") {
  CHECK(JournalName({1, 1}) == "journal.jsonl");
  CHECK(JournalName({3, 12}) == "journal.3-of-12.jsonl");
  for (const char* const name : {"journal.jsonl", "journal.3-of-12.jsonl"})
    CHECK(IsJournalName(name));
  for (const char* const name :
       {"", "journal.", "journal..jsonl", "journal.-of-.jsonl", "journal.1-of-.jsonl",
        "journal.a-of-2.jsonl", "journal.1-of-2.jsonl~", ".journal.jsonl.abcdef.tmp", "plan.jsonl",
        "journal.jsonl.jsonl", "summary.json"}) {
    INFO(name);
    CHECK_FALSE(IsJournalName(name));
  }
}

TEST_CASE("codes have names and come back") {
  for (const auto code :
       {base::ErrorCode::kUsage, base::ErrorCode::kBadInput, base::ErrorCode::kResource,
        base::ErrorCode::kOutOfMemory, base::ErrorCode::kInternal, base::ErrorCode::kInterrupted}) {
    CHECK(CodeOfName(CodeName(code)) == code);
  }
  CHECK_FALSE(CodeOfName("nothing"));
}

TEST_CASE("a line is an object with the checksum of the entry's bytes") {
  const std::string text = DoneText(5, kDone);
  const std::string line = JournalLine(text);
  const json object = json::parse(line);
  CHECK(object.size() == 2);
  CHECK(object["sha256"] == base::Sha256Hex(std::as_bytes(std::span(text))).substr(0, 16));
  CHECK(object["entry"]["type"] == "done");
  CHECK(object["entry"]["seq"] == 5);
  CHECK(object["entry"]["files"][0]["bytes"] == 17);
  CHECK(object["entry"]["details"]["clipped"] == 0);
  CHECK(line.back() == '\n');
  CHECK(EntryTextOf(line.substr(0, line.size() - 1)) == text);
  // Every change of every byte is seen.
  for (size_t i = 0; i + 1 < line.size(); ++i) {
    for (const int bits : {1, 2, 4, 8, 16, 32, 64, 128}) {
      std::string flipped = line.substr(0, line.size() - 1);
      flipped[i] = static_cast<char>(flipped[i] ^ bits);
      REQUIRE_FALSE(EntryTextOf(flipped));
    }
  }
  for (size_t length = 0; length + 1 < line.size(); ++length) {
    REQUIRE_FALSE(EntryTextOf(std::string_view(line).substr(0, length)));
  }
  CHECK_FALSE(EntryTextOf(line));  // with its newline
}

TEST_CASE("texts of errors may hold anything; facts cannot pose as something else") {
  const std::string text = FailedText(1, {"a", "k", "bad \xff\n\"x\"", base::ErrorCode::kBadInput});
  CHECK(text.find('\n') == std::string::npos);
  CHECK(json::parse(text)["code"] == "bad_input");
  const json run = json::parse(RunText(3, R"({"type":"done","seq":99,"version":"1"})"));
  CHECK(run["type"] == "run");
  CHECK(run["seq"] == 3);
  CHECK(run["version"] == "1");
  CHECK(ErrorOf([] { RunText(1, "[]"); }).code == base::ErrorCode::kInternal);
  CHECK(ErrorOf([] { RunText(1, "{"); }).code == base::ErrorCode::kInternal);
  DoneEntry bad = kDone;
  bad.details = "";
  CHECK(ErrorOf([&] { DoneText(1, bad); }).code == base::ErrorCode::kInternal);
}

TEST_CASE("what is appended is read again, over several openings") {
  const TempDir dir;
  const std::string path = dir.File("journal.jsonl");
  {
    JournalWriter writer(path, 0);
    CHECK(writer.cut_bytes() == 0);
    writer.Run(R"({"version":"1"})");
    writer.Done(kDone);
    writer.Redo({});
  }
  Ledger ledger = Ledger::Read(dir.path());
  CHECK(ledger.next_seq() == 2);
  {
    JournalWriter writer(path, ledger.next_seq());
    writer.Failed({"suite/2", "k2", "no samples", base::ErrorCode::kBadInput});
    const std::vector<std::string> ids = {"suite/3", "suite/4"};
    writer.Redo(ids);
  }
  ledger = Ledger::Read(dir.path());
  CHECK(ledger.next_seq() == 4);
  CHECK_FALSE(ledger.damaged());
  REQUIRE(ledger.Done("suite/1") != nullptr);
  const DoneEntry& done = *ledger.Done("suite/1");
  CHECK(done.key == "k1");
  CHECK(done.audio_s == 1.25);
  CHECK(done.slots == 8);
  CHECK(done.details == R"({"clipped":0})");
  REQUIRE(done.files.size() == 1);
  CHECK(done.files[0].path == "suite/1/output.wav");
  CHECK(done.files[0].sha256 == std::string(64, 'a'));
  CHECK(done.files[0].bytes == 17);
  REQUIRE(ledger.Failed("suite/2") != nullptr);
  CHECK(ledger.Failed("suite/2")->error == "no samples");
  CHECK(ledger.Failed("suite/2")->code == base::ErrorCode::kBadInput);
  CHECK(ledger.records().at("suite/4").redo_seq == 3);
  CHECK(ledger.Runs().size() == 1);
  CHECK(ledger.last_capacity() == 8);
}

TEST_CASE("a torn last line is cut off, however it was torn") {
  const TempDir dir;
  const std::string path = dir.File("journal.jsonl");
  const std::string first = JournalLine(DoneText(0, kDone));
  DoneEntry long_entry = kDone;
  long_entry.id = "long";
  long_entry.details = R"({"x":")" + std::string(100'000, 'y') + R"("})";
  const std::string second = JournalLine(DoneText(1, long_entry));
  for (const size_t length :
       {size_t{1}, size_t{2}, size_t{100}, second.size() / 2, second.size() - 1}) {
    WriteFile(path, first + second.substr(0, length));
    {
      JournalWriter writer(path, 1);
      CHECK(writer.cut_bytes() == static_cast<int64_t>(length));
      writer.Failed({"b", "k", "e", base::ErrorCode::kBadInput});
    }
    const Ledger ledger = Ledger::Read(dir.path());
    CHECK_FALSE(ledger.damaged());
    CHECK(ledger.Done("suite/1") != nullptr);
    CHECK(ledger.Done("long") == nullptr);
    CHECK(ledger.Failed("b") != nullptr);
  }
  SUBCASE("whole lines stay") {
    WriteFile(path, first + second);
    CHECK(JournalWriter(path, 2).cut_bytes() == 0);
    CHECK(ReadFile(path) == first + second);
  }
  SUBCASE("with a newline but a bad checksum, only the last") {
    std::string bad = second;
    bad[50] = 'X';
    WriteFile(path, first + bad + bad);
    CHECK(JournalWriter(path, 2).cut_bytes() == static_cast<int64_t>(bad.size()));
    CHECK(ReadFile(path) == first + bad);
  }
  SUBCASE("the only line; zeros after a loss of power; a lone newline") {
    for (const std::string& torn :
         {first.substr(0, 9), std::string(5000, '\0'), std::string("\n")}) {
      WriteFile(path, torn);
      CHECK(JournalWriter(path, 0).cut_bytes() == static_cast<int64_t>(torn.size()));
      CHECK(ReadFile(path).empty());
    }
  }
}

TEST_CASE("several threads append whole lines") {
  const TempDir dir;
  {
    JournalWriter writer(dir.File("journal.jsonl"), 0);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&writer, t] {
        for (int i = 0; i < 50; ++i) {
          DoneEntry entry = kDone;
          entry.id = std::to_string(t) + "/" + std::to_string(i);
          writer.Done(entry);
        }
      });
    }
  }
  const Ledger ledger = Ledger::Read(dir.path());
  CHECK(ledger.records().size() == 200);
  CHECK(ledger.next_seq() == 200);
  CHECK_FALSE(ledger.damaged());
}

TEST_CASE("a journal that cannot be opened or written is an error with its path") {
  const TempDir dir;
  CHECK(ErrorOf([&] { JournalWriter(dir.File("none/journal.jsonl"), 0); }).code ==
        base::ErrorCode::kUsage);
  CHECK(ErrorOf([&] { JournalWriter(dir.path(), 0); }).code == base::ErrorCode::kUsage);

  const std::string path = dir.File("journal.jsonl");
  JournalWriter writer(path, 0);
  writer.Done(kDone);
  const std::string before = ReadFile(path);
  rlimit limit = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = limit;
  small.rlim_cur = before.size() + 10;  // room for a part of a line
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  DoneEntry entry = kDone;
  entry.id = "second";
  const auto thrown = ErrorOf([&] { writer.Done(entry); });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(thrown.code == base::ErrorCode::kResource);
  CHECK(thrown.Mentions(path));
  CHECK(ReadFile(path) == before);  // the part was cut off again
  writer.Done(entry);
  CHECK(Ledger::Read(dir.path()).Done("second") != nullptr);
}

}  // namespace
}  // namespace ppx::batch
