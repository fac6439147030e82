#include "batch/ledger.h"

#include <filesystem>
#include <string>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

using testing::ErrorOf;
using testing::TempDir;

std::string Done(int64_t seq, const std::string& id, const std::string& key, int slots = 4) {
  return JournalLine(DoneText(
      seq, {id, key, {{id + "/o.wav", std::string(64, 'a'), 10 + seq}}, 1.0, slots, "{}"}));
}
std::string Failed(int64_t seq, const std::string& id, const std::string& key) {
  return JournalLine(FailedText(seq, {id, key, "why", base::ErrorCode::kBadInput}));
}
std::string Redo(int64_t seq, const std::string& id) { return JournalLine(RedoText(seq, id)); }

Ledger Of(const std::string& bytes) {
  Ledger ledger;
  ledger.Add(bytes, "journal.jsonl");
  return ledger;
}

TEST_CASE("the last word counts, and what is last is told by seq") {
  CHECK(Of(Done(0, "a", "k1") + Done(1, "a", "k2")).Done("a")->key == "k2");
  CHECK(Of(Done(0, "a", "k1") + Redo(1, "a")).Done("a") == nullptr);
  CHECK(Of(Done(0, "a", "k1") + Redo(1, "a") + Done(2, "a", "k2")).Done("a")->key == "k2");
  CHECK(Of(Done(0, "a", "k1") + Failed(1, "a", "k2")).Done("a")->key == "k1");
  CHECK(Of(Done(0, "a", "k1") + Failed(1, "a", "k2")).Failed("a")->key == "k2");
  CHECK(Of(Failed(0, "a", "k1") + Done(1, "a", "k1")).Failed("a") == nullptr);
  CHECK(Of(Done(0, "a", "k1")).Done("b") == nullptr);
  CHECK(Of(Done(0, "a", "k1")).Failed("a") == nullptr);

  // Two journals, read in the order of their names; the second is the older one.
  Ledger ledger;
  ledger.Add(Done(7, "a", "new"), "journal.1-of-2.jsonl");
  ledger.Add(Done(3, "a", "old") + Redo(5, "a") + Done(8, "b", "k", 16), "journal.2-of-3.jsonl");
  CHECK(ledger.Done("a")->key == "new");
  CHECK(ledger.next_seq() == 9);
  CHECK(ledger.last_capacity() == 16);
  CHECK(ledger.paths().size() == 2);
}

TEST_CASE("an empty or missing folder is an empty ledger") {
  const TempDir dir;
  CHECK(Ledger::Read(dir.path()).records().empty());
  const Ledger ledger = Ledger::Read(dir.File("none"));
  CHECK(ledger.next_seq() == 0);
  CHECK_FALSE(ledger.last_capacity());
  CHECK_FALSE(ledger.damaged());
  testing::WriteFile(dir.File("journal.jsonl"), "");
  testing::WriteFile(dir.File("plan.jsonl"), "not a journal\n");
  CHECK(Ledger::Read(dir.path()).paths().size() == 1);
  CHECK_FALSE(Ledger::Read(dir.path()).damaged());
  std::filesystem::create_directory(dir.File("journal.1-of-2.jsonl"));
  CHECK(ErrorOf([&] { Ledger::Read(dir.path()); }).code == base::ErrorCode::kResource);
}

TEST_CASE("cut at every byte: whole lines count, nothing else") {
  const std::vector<std::string> lines = {Done(0, "a", "k"), Failed(1, "b", "k"), Redo(2, "a"),
                                          Done(3, "b", "k"), Done(4, "a", "k2")};
  std::string whole;
  for (const std::string& line : lines) whole += line;
  for (size_t length = 0; length <= whole.size(); ++length) {
    const Ledger ledger = Of(whole.substr(0, length));
    REQUIRE_FALSE(ledger.damaged());
    size_t complete = 0;
    for (size_t end = 0; complete < lines.size() && end + lines[complete].size() <= length;) {
      end += lines[complete++].size();
    }
    const auto key_of = [&](const char* id) {
      return ledger.Done(id) == nullptr ? std::string() : ledger.Done(id)->key;
    };
    REQUIRE(key_of("a") == (complete >= 5 ? "k2" : complete >= 3 ? "" : complete >= 1 ? "k" : ""));
    REQUIRE(key_of("b") == (complete >= 4 ? "k" : ""));
    REQUIRE((ledger.Failed("b") != nullptr) == (complete == 2 || complete == 3));
    REQUIRE(ledger.next_seq() == static_cast<int64_t>(complete));
  }
}

TEST_CASE("every byte changed: no wrong entry, and damage is told") {
  const std::string whole =
      JournalLine(RunText(0, "{}")) + Done(1, "a", "k") + Done(2, "b", "k") + Done(3, "c", "k");
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int bits : {1, 4, 32, 128, 255}) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ bits);
      const Ledger ledger = Of(flipped);
      size_t done = 0;
      for (const auto& [id, record] : ledger.records()) {
        REQUIRE((id == "a" || id == "b" || id == "c"));
        REQUIRE(ledger.Done(id) != nullptr);
        REQUIRE(ledger.Done(id)->key == "k");
        REQUIRE(ledger.Done(id)->files.size() == 1);
        ++done;
      }
      REQUIRE(done >= 1);
      REQUIRE((done == 3) == (i < JournalLine(RunText(0, "{}")).size() - 1));
      REQUIRE((ledger.damaged() || ledger.torn_lines() == 1));
    }
  }
}

TEST_CASE("lines with a good checksum that are no entries say nothing") {
  const std::vector<std::string> texts = {
      "",
      "null",
      "[]",
      "{",
      "{}",
      R"({"type":"done"})",
      R"({"type":"done","seq":0,"id":"a"})",
      R"({"type":"done","seq":0,"id":"a","key":"k"})",
      R"({"type":"done","seq":0,"id":"a","key":"k","files":[1],"audio_s":1,"slots":1,"details":{}})",
      R"({"type":"done","seq":0,"id":"a","key":"k","files":[{"path":"","sha256":"","bytes":1}],"audio_s":1,"slots":1,"details":{}})",
      R"({"type":"done","seq":0,"id":"a","key":"k","files":[{"path":"p","sha256":"","bytes":-1}],"audio_s":1,"slots":1,"details":{}})",
      R"({"type":"done","seq":0,"id":"a","key":"k","files":[],"audio_s":1,"slots":9999999999,"details":{}})",
      R"({"type":"done","seq":0,"id":"a","key":"k","files":[],"audio_s":1,"slots":1,"details":[]})",
      R"({"type":"done","seq":0,"id":"","key":"k","files":[],"audio_s":1,"slots":1,"details":{}})",
      R"({"type":"done","seq":-1,"id":"a","key":"k","files":[],"audio_s":1,"slots":1,"details":{}})",
      R"({"type":"done","seq":9223372036854775807,"id":"a","key":"k","files":[],"audio_s":1,"slots":1,"details":{}})",
      R"({"type":"failed","seq":0,"id":"a","key":"k","error":"e","code":"unheard_of"})",
      R"({"type":"failed","seq":0,"id":"a","key":"k","code":"usage"})",
      R"({"type":"redo","seq":0})",
      R"({"type":"news","seq":0,"id":"a","key":"k"})"};
  for (const std::string& text : texts) {
    INFO(text);
    const Ledger ledger = Of(JournalLine(text));
    CHECK(ledger.damaged_lines() == 1);
    CHECK(ledger.Done("a") == nullptr);
    CHECK(ledger.Failed("a") == nullptr);
    CHECK(ledger.next_seq() == 0);
  }
  std::string many;
  for (int i = 0; i < 50; ++i) many += "damage\n";
  const Ledger ledger = Of(many + Done(0, "a", "k"));
  CHECK(ledger.damaged_lines() == 50);
  CHECK(ledger.damage().size() == 20);
  CHECK(ledger.damage()[1].find("journal.jsonl:2: ") == 0);
  CHECK(ledger.Done("a") != nullptr);
}

}  // namespace
}  // namespace ppx::batch
