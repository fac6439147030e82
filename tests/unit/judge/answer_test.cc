#include "judge/answer.h"

#include <string>

#include "support/doctest.h"
#include "unit/judge/small_specs.h"

namespace ppx::judge {
namespace {

const JudgeSpec kScore = ParseJudgeSpec(testing::kScoreYaml, "j.yaml");
const JudgeSpec kTwo = ParseJudgeSpec(testing::kTwoScoresYaml, "j.yaml");
const JudgeSpec kLabel = ParseJudgeSpec(testing::kLabelYaml, "j.yaml");

int MarkIn(const std::string& text) {
  const Answer answer = ParseAnswer(kScore, text);
  CHECK(answer.ok == answer.reason.empty());
  return answer.ok ? answer.scores.at("politeness") : -1;
}

TEST_CASE("marks, wherever the object stands") {
  CHECK(MarkIn(R"({"politeness": 0})") == 0);
  CHECK(MarkIn(R"({"politeness": 5, "reason": "a } in \" a { text"})") == 5);
  CHECK(MarkIn(R"({"politeness": 4.0})") == 4);
  CHECK(MarkIn("```json\n{\"politeness\": 3}\n```") == 3);
  CHECK(MarkIn(R"(Well {so to speak: {"politeness": 2} or {"politeness": 4})") == 2);
  CHECK(MarkIn(R"(It's {5"6} tall. {"politeness": 2})") == 2);
  CHECK(MarkIn(R"({"verdict": {"politeness": 1}})") == 1);
  CHECK(MarkIn(R"({"other": 1} {"politeness": 7} {"politeness": 3})") == 3);
}

TEST_CASE("what is no mark") {
  for (const char* const text :
       {"", "4", "politeness: 4", R"({"politeness": 6})", R"({"politeness": -1})",
        R"({"politeness": 3.5})", R"({"politeness": "4"})", R"({"politeness": null})",
        R"({"politeness": true})", R"({"politeness": [4]})", R"({"politeness": 1e400})",
        R"({"politeness": 4)", R"({'politeness': 4})", R"({"politeness": 4,})",
        R"({"Politeness": 4})", R"([4])", R"({"politeness": 4, "politeness": 5})",
        R"({"politeness": 99999999999999999999})"}) {
    INFO(text);
    CHECK(MarkIn(text) == -1);
  }
}

TEST_CASE("two marks must both be there") {
  const Answer answer = ParseAnswer(kTwo, R"({"x": 1} {"y": 2, "x": 3})");
  REQUIRE(answer.ok);
  CHECK(answer.scores.at("x") == 3);
  CHECK(answer.scores.at("y") == 2);
  CHECK_FALSE(ParseAnswer(kTwo, R"({"x": 1} {"y": 2})").ok);
  CHECK_FALSE(ParseAnswer(kTwo, R"({"x": 1, "y": 6})").ok);
}

TEST_CASE("labels must be one of the list, exactly") {
  CHECK(ParseAnswer(kLabel, R"({"choice": "STAY"})").label == "STAY");
  for (const char* const text : {R"({"choice": "stay"})", R"({"choice": "GO, STAY"})",
                                 R"({"choice": ["GO"]})", R"({"choice": 1})", "GO"}) {
    INFO(text);
    CHECK_FALSE(ParseAnswer(kLabel, text).ok);
  }
}

TEST_CASE("reasons say what was wanted and what came, on one line") {
  const std::string reason = ParseAnswer(kScore, "I would\nsay \xff four").reason;
  CHECK(reason ==
        "no JSON object with 'politeness' from 0 to 5 in the judge's answer \"I would say \ufffd "
        "four\"");
  CHECK(ParseAnswer(kLabel, "x").reason.find("GO, STAY, WAIT") != std::string::npos);
}

TEST_CASE("answers made of braces end soon") {
  CHECK_FALSE(ParseAnswer(kScore, std::string(60000, '{')).ok);
  std::string nested;
  while (nested.size() < 60000) nested += "{\"a\":";
  CHECK_FALSE(ParseAnswer(kScore, nested).ok);
  CHECK_FALSE(ParseAnswer(kScore, std::string(70000, ' ') + R"({"politeness": 4})").ok);
}

TEST_CASE("excerpts") {
  CHECK(Excerpt("abc", 3) == "abc");
  CHECK(Excerpt("abcd", 3) == "abc...");
  CHECK(Excerpt("ab\u00e9", 3) == "ab...");
  CHECK(Excerpt("a\tb\x7f") == "a b ");
  CHECK(Excerpt("") == "");
}

}  // namespace
}  // namespace ppx::judge
