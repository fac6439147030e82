#include "annotate/transcript.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::annotate {
namespace {

using testing::ErrorOf;
using testing::TempDir;

std::string Reason(const std::string& json) {
  const auto thrown = ErrorOf([&] { ParseTranscript(json, "folder/output.json"); });
  REQUIRE(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("folder/output.json: "));
  return thrown.message;
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("the benchmark's layout") {
  const Transcript transcript = ParseTranscript(
      R"({"text": " Yes, it", "chunks": [{"text": "Yes,", "timestamp": [3.36, 3.9], "score": 1},
         {"text": " it", "timestamp": [4, null]}, {"text": "", "timestamp": [null, 5]}],
         "language": "en"})",
      "x");
  CHECK(transcript.text == " Yes, it");
  REQUIRE(transcript.chunks.size() == 3);
  CHECK(transcript.chunks[0].text == "Yes,");
  CHECK(transcript.chunks[0].start_s == 3.36);
  CHECK(transcript.chunks[0].end_s == 3.9);
  CHECK(transcript.chunks[1].start_s == 4.0);
  CHECK(!transcript.chunks[1].end_s);
  CHECK(!transcript.chunks[2].start_s);
  CHECK(transcript.chunks[2].end_s == 5.0);
}

TEST_CASE("no words is a transcript; without a text, it is that of the words") {
  CHECK(ParseTranscript(R"({"text": "", "chunks": []})", "x").chunks.empty());
  CHECK(ParseTranscript(R"({"chunks": [{"text": " a ", "timestamp": [0, 1]},
    {"text": " ", "timestamp": [1, 1]}, {"text": "b\n", "timestamp": [1, 2]}]})",
                        "x")
            .text == "a b");
}

TEST_CASE("what is wrong, and where") {
  CHECK(Contains(Reason("{"), "not valid JSON"));
  CHECK(Contains(Reason(""), "not valid JSON"));
  CHECK(Contains(Reason("[]"), "the transcript is array, expected an object"));
  CHECK(Contains(Reason("{}"), "expected a list 'chunks'"));
  CHECK(Contains(Reason(R"({"chunks": {}})"), "expected a list 'chunks'"));
  CHECK(Contains(Reason(R"({"text": 1, "chunks": []})"), "'text' is number"));
  const auto second = [](const std::string& chunk) {
    return Reason(R"({"text": "", "chunks": [{"text": "a", "timestamp": [0, 1]}, )" + chunk + "]}");
  };
  CHECK(Contains(second("3"), "chunk 2 is number"));
  CHECK(Contains(second(R"({"timestamp": [1, 2]})"), "chunk 2: no 'text'"));
  CHECK(Contains(second(R"({"text": null, "timestamp": [1, 2]})"), "chunk 2: 'text' is null"));
  CHECK(Contains(second(R"({"text": "b"})"), "chunk 2: expected 'timestamp'"));
  CHECK(Contains(second(R"({"text": "b", "timestamp": null})"), "chunk 2: expected 'timestamp'"));
  CHECK(Contains(second(R"({"text": "b", "timestamp": [1]})"), "chunk 2: expected 'timestamp'"));
  CHECK(Contains(second(R"({"text": "b", "timestamp": [1, 2, 3]})"), "chunk 2: expected"));
  CHECK(Contains(second(R"({"text": "b", "timestamp": ["1", 2]})"), "chunk 2: a time is string"));
  CHECK(Contains(second(R"({"text": "b", "timestamp": [1, true]})"), "chunk 2: a time is boolean"));
}

TEST_CASE("NaN, Infinity, numbers beyond a double and bytes that are not UTF-8 are no JSON") {
  for (const std::string time : {"NaN", "Infinity", "-Infinity", "1e999", "01", "+1", ".5"}) {
    CAPTURE(time);
    CHECK(Contains(Reason(R"({"chunks": [{"text": "a", "timestamp": [)" + time + ", 1]}]}"),
                   "not valid JSON"));
  }
  CHECK(Contains(Reason("{\"chunks\": [], \"text\": \"\xff\"}"), "not valid JSON"));
}

TEST_CASE("files: missing, empty, a folder") {
  const TempDir dir;
  CHECK(ErrorOf([&] { ReadTranscript(dir.File("none.json")); }).Mentions("none.json"));
  testing::WriteFile(dir.File("empty.json"), "");
  CHECK(ErrorOf([&] { ReadTranscript(dir.File("empty.json")); }).code ==
        base::ErrorCode::kBadInput);
  CHECK(ErrorOf([&] { ReadTranscript(dir.path()); }).code == base::ErrorCode::kBadInput);
}

TEST_CASE("times that cannot be right") {
  const auto problem = [](std::optional<double> start_s, std::optional<double> end_s) {
    return Problem({"", {{"ok", 0.5, 0.7}, {"so", start_s, end_s}}}).value_or("");
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CHECK(problem(1.5, 1.2) == "chunk 2 ('so'): ends at 1.2 s, before its start at 1.5 s");
  CHECK(problem(std::nullopt, 1.2) == "chunk 2 ('so'): no start time");
  CHECK(Contains(problem(-0.5, 1.2), "starts at -0.5 s"));
  CHECK(Contains(problem(0, std::nan("")), "not finite"));
  CHECK(Contains(problem(kInfinity, std::nullopt), "not finite"));
  // Missing ends, no length, out of order, overlaps: not for this function to judge.
  CHECK(problem(1.5, std::nullopt).empty());
  CHECK(problem(0.1, 0.1).empty());
  CHECK(!Problem({}));
}

TEST_CASE("what is written is read again, to the last bit") {
  const TempDir dir;
  const std::string path = dir.File("output.json");
  Transcript transcript;
  transcript.text = "Grüße \"you\"\n";
  transcript.chunks = {{"Grüße", 4.6899999999999995, 1.0 / 3},
                       {" \"you\"\n", 0.0, std::nullopt},
                       {"", std::nullopt, 1e-300},
                       {"big", 123456789.125, 2.0}};
  WriteTranscript(path, transcript);
  const Transcript again = ReadTranscript(path);
  CHECK(again.text == transcript.text);
  REQUIRE(again.chunks.size() == transcript.chunks.size());
  for (size_t i = 0; i < again.chunks.size(); ++i) {
    CHECK(again.chunks[i].text == transcript.chunks[i].text);
    CHECK(again.chunks[i].start_s == transcript.chunks[i].start_s);
    CHECK(again.chunks[i].end_s == transcript.chunks[i].end_s);
  }
  CHECK(ToJson({"a", {{"a", 0.0, 1.64}}}) ==
        "{\n    \"text\": \"a\",\n    \"chunks\": [\n        {\n            \"text\": \"a\",\n"
        "            \"timestamp\": [\n                0.0,\n                1.64\n"
        "            ]\n        }\n    ]\n}\n");
  CHECK(ToJson({}) == "{\n    \"text\": \"\",\n    \"chunks\": []\n}\n");
}

TEST_CASE("what JSON cannot say is not written") {
  CHECK(ErrorOf([] {
          ToJson({"", {{"a", std::nan(""), 1.0}}});
        }).code == base::ErrorCode::kInternal);
  CHECK(ParseTranscript(ToJson({"\xff", {}}), "x").text == "\xEF\xBF\xBD");
}

TEST_CASE("annotations") {
  const TempDir dir;
  const std::string path = dir.File("interrupt.json");
  testing::WriteFile(path, R"([{"context": "Books?", "interrupt": "Else?",
      "timestamp": [10.530666666666667, 13.144]}, {"text": "[PAUSE]", "timestamp": [4, null]}])");
  const auto events = ReadAnnotations(path);
  REQUIRE(events.size() == 2);
  CHECK(events[0].context == "Books?");
  CHECK(events[0].interrupt == "Else?");
  CHECK(events[0].text.empty());
  CHECK(events[0].start_s == 10.530666666666667);
  CHECK(events[0].end_s == 13.144);
  CHECK(events[1].text == "[PAUSE]");
  CHECK(!events[1].end_s);
  testing::WriteFile(path, "[]");
  CHECK(ReadAnnotations(path).empty());
  const auto reason = [&](const std::string& json) {
    testing::WriteFile(path, json);
    return ErrorOf([&] { ReadAnnotations(path); }).message;
  };
  CHECK(Contains(reason("{}"), "expected a list of events"));
  CHECK(Contains(reason(R"([{"timestamp": [1, 2]}, {}])"), "event 2: expected 'timestamp'"));
  CHECK(Contains(reason(R"([{"timestamp": [1, 2], "context": 3}])"), "event 1: 'context'"));
  CHECK(Contains(reason("[null]"), "event 1 is null"));
}

}  // namespace
}  // namespace ppx::annotate
