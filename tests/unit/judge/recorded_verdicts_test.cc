#include "judge/recorded_verdicts.h"

#include <array>
#include <filesystem>
#include <string>

#include "support/doctest.h"
#include "support/temp_dir.h"

namespace ppx::judge {
namespace {

using testing::TempDir;

const std::array<std::string, 4> kLabels = {"C_RESPOND", "C_RESUME", "C_UNCERTAIN_HANDLING",
                                            "C_UNKNOWN"};

Verdict Rating(const std::string& json) {
  const TempDir dir;
  const std::string path = dir.File("rating.json");
  testing::WriteFile(path, json);
  const auto verdict = ReadRecordedRating(path, "relevance");
  REQUIRE(verdict);
  CHECK(verdict->raw_answer == json);
  CHECK(verdict->from_cache);
  const bool ok = verdict->status == VerdictStatus::kOk;
  CHECK(verdict->reason.empty() == ok);
  CHECK(verdict->scores.size() == (ok ? 1 : 0));
  if (!ok) CHECK(verdict->reason.find(path) != std::string::npos);
  return *verdict;
}

Verdict Label(const std::string& json) {
  const TempDir dir;
  const std::string path = dir.File("content_tag.json");
  testing::WriteFile(path, json);
  const auto verdict = ReadRecordedLabel(path, kLabels);
  REQUIRE(verdict);
  CHECK(verdict->reason.empty() == (verdict->status == VerdictStatus::kOk));
  CHECK(verdict->label.empty() == (verdict->status != VerdictStatus::kOk));
  return *verdict;
}

TEST_CASE("ratings") {
  CHECK(Rating(R"({"analysis": "It fits.", "rating": 4})").scores.at("relevance") == 4);
  CHECK(Rating(R"({"rating": 0})").scores.at("relevance") == 0);
  CHECK(Rating(R"({"rating": "5"})").scores.at("relevance") == 5);
  CHECK(Rating(R"({"rating": " 3\n"})").scores.at("relevance") == 3);
  CHECK(Rating(R"({"rating": 2.0})").scores.at("relevance") == 2);
}

TEST_CASE("ratings that are none") {
  for (const char* const json :
       {R"({"analysis": "x", "rating": null})", R"({"analysis": "x"})", R"({"rating": 6})",
        R"({"rating": -1})", R"({"rating": "4/5"})", R"({"rating": ""})", R"({"rating": "four"})",
        R"({"rating": 3.5})", R"({"rating": [4]})", R"({"rating": true})", R"([{"rating": 4}])",
        R"({"rating": 4)", R"({"rating": NaN})", "4", "\"\xff\""}) {
    INFO(json);
    CHECK(Rating(json).status == VerdictStatus::kUnparsable);
  }
  CHECK(Rating(R"({"rating": null})").reason.find("the rating is null") != std::string::npos);
  CHECK(Rating(R"({"rating": "no"})").reason.find("the rating is \"no\"") != std::string::npos);
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  CHECK(Rating("{\"rating\": " + deep + "}").status == VerdictStatus::kUnparsable);
}

TEST_CASE("files that are not there, empty or not files") {
  const TempDir dir;
  CHECK_FALSE(ReadRecordedRating(dir.File("rating.json"), "relevance"));
  CHECK_FALSE(ReadRecordedLabel(dir.File("no/content_tag.json"), kLabels));
  std::filesystem::create_directory(dir.File("folder"));
  CHECK(ReadRecordedRating(dir.File("folder"), "relevance")->status == VerdictStatus::kFailed);
  CHECK(ReadRecordedLabel(dir.File("folder"), kLabels)->status == VerdictStatus::kFailed);
  testing::WriteFile(dir.File("empty"), "");
  CHECK(ReadRecordedRating(dir.File("empty"), "relevance")->status == VerdictStatus::kFailed);
}

TEST_CASE("labels, under whatever key") {
  CHECK(Label(R"({"behaviour": "C_RESUME"})").label == "C_RESUME");
  CHECK(Label(R"({"behavior": ["C_RESPOND"], "why": "It is not C_RESUME."})").label == "C_RESPOND");
  CHECK(Label(R"([{"axis": "C", "tag": " C_UNKNOWN "}])").label == "C_UNKNOWN");
  CHECK(Label(R"({"a": {"b": [{"label": "C_UNCERTAIN_HANDLING"}]}, "n": 1})").label ==
        "C_UNCERTAIN_HANDLING");
  CHECK(Label(R"({"a": "C_RESPOND", "b": "C_RESPOND"})").label == "C_RESPOND");
}

TEST_CASE("no label, or several") {
  for (const char* const json :
       {"{}", "[]", "[{}]", "[[\"C_RESUME\"]]", "\"C_RESUME\"", R"({"behaviour": "c_resume"})",
        R"({"behaviour": "RESUME"})", R"({"behaviour": ["C_RESUME", "C_RESPOND"]})",
        R"([{"behaviour": "C_RESUME"}, {"behaviour": "C_RESUME"}])", R"({"C_RESUME": true})",
        R"({"behaviour": "C_RESUME")", R"({"behaviour": null})"}) {
    INFO(json);
    CHECK(Label(json).status == VerdictStatus::kUnparsable);
  }
  CHECK(Label(R"(["C_RESUME", "C_RESPOND"])").reason.find("list of one") != std::string::npos);
  CHECK(Label(R"({"x": ["C_RESUME", "C_RESPOND"]})").reason.find("C_RESPOND, C_RESUME") !=
        std::string::npos);
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  CHECK(Label("{\"x\": " + deep + "}").status == VerdictStatus::kUnparsable);
}

}  // namespace
}  // namespace ppx::judge
