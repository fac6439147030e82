#include "judge/judge_spec.h"

#include <string>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "unit/judge/small_specs.h"

namespace ppx::judge {
namespace {

using testing::ErrorOf;
using testing::kLabelYaml;
using testing::kScoreYaml;
using testing::kTwoScoresYaml;

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

void CheckRejected(const std::string& yaml, const std::string& place, const std::string& problem) {
  INFO(yaml);
  const auto thrown = ErrorOf([&] { ParseJudgeSpec(yaml, "j.yaml"); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  INFO(thrown.message);
  CHECK(thrown.message.starts_with("j.yaml" + place + ": "));
  CHECK(thrown.Mentions(problem));
}

TEST_CASE("a judge that marks") {
  const JudgeSpec spec = ParseJudgeSpec(kScoreYaml, "j.yaml");
  CHECK(spec.path == "j.yaml");
  CHECK(spec.sha256.size() == 64);
  CHECK(spec.name == "politeness");
  CHECK(spec.version == 3);
  CHECK(spec.description == "For tests.");
  CHECK(spec.model == "some-model");
  CHECK(spec.temperature == 0);
  CHECK(spec.max_tokens == 50);
  CHECK(spec.kind == AnswerKind::kScore);
  CHECK(spec.fields == std::vector<std::string>{"politeness"});
  CHECK(spec.scale.lowest == 0);
  CHECK(spec.scale.highest == 5);
  REQUIRE(spec.controls.size() == 2);
  CHECK(spec.controls[0].scores.at("politeness").lowest == 4);
  CHECK(spec.controls[0].scores.at("politeness").highest == 5);
  CHECK(spec.controls[1].scores.at("politeness").lowest == 0);
  CHECK(spec.controls[1].scores.at("politeness").highest == 0);
  CHECK(RenderPrompt(spec.system, {}) == "Mark it. Answer {\"politeness\": 0 to 5}\n");
  CHECK(RenderPrompt(spec.user, {{"reply", "Hi"}}) == "Reply: Hi\n");
}

TEST_CASE("a judge of two marks, and one that chooses") {
  const JudgeSpec two = ParseJudgeSpec(kTwoScoresYaml, "j.yaml");
  CHECK(two.system.empty());
  CHECK(two.fields == std::vector<std::string>{"x", "y"});
  CHECK(two.controls[0].values.at("b").empty());
  const JudgeSpec label = ParseJudgeSpec(kLabelYaml, "j.yaml");
  CHECK(label.kind == AnswerKind::kLabel);
  CHECK(label.fields == std::vector<std::string>{"choice"});
  CHECK(label.labels == std::vector<std::string>{"GO", "STAY", "WAIT"});
  CHECK(label.controls[0].labels == std::vector<std::string>{"GO"});
  CHECK(label.controls[1].labels == std::vector<std::string>{"STAY", "WAIT"});
}

TEST_CASE("values are put in as they are, once") {
  const JudgeSpec two = ParseJudgeSpec(kTwoScoresYaml, "j.yaml");
  CHECK(RenderPrompt(two.user, {{"a", "{b}"}, {"b", "{{}"}, {"other", "z"}}) == "{b}{{}{b}");
  const auto thrown = ErrorOf([&] { RenderPrompt(two.user, {{"a", "1"}}); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("{b}"));
}

TEST_CASE("slips are told with line and column") {
  CheckRejected(kScoreYaml + "temprature: 0\n", ":22:1", "unknown key 'temprature'");
  CheckRejected(kScoreYaml + "version: 4\n", ":22:1", "given twice");
  CheckRejected(Replaced(kScoreYaml, "model: some-model\n", ""), ":1:1", "'model' is missing");
  CheckRejected(Replaced(kScoreYaml, "some-model", "\"\""), ":4:8", "'model' must not be empty");
  CheckRejected(Replaced(kScoreYaml, "politeness\n", "Politeness!\n"), ":1:7", "lower-case");
  CheckRejected(Replaced(kScoreYaml, "version: 3", "version: 0"), ":2:10", "'version' must be");
  CheckRejected(Replaced(kScoreYaml, "version: 3", "version: \"3\""), ":2:10", "whole number");
  CheckRejected(Replaced(kScoreYaml, "temperature: 0", "temperature: 2.5"), ":5:14", "0 to 2");
  CheckRejected(Replaced(kScoreYaml, "temperature: 0", "temperature: .nan"), ":5:14", "finite");
  CheckRejected(Replaced(kScoreYaml, "max_tokens: 50", "max_tokens: 0"), ":6:13", "'max_tokens'");
  CHECK(ErrorOf([&] { ParseJudgeSpec("name: [", "j.yaml"); }).Mentions("not valid YAML"));
  CheckRejected("- a\n", "", "one YAML document");
  CheckRejected("", "", "one YAML document");
  CheckRejected(kScoreYaml + "---\n" + kScoreYaml, "", "one YAML document");
}

TEST_CASE("placeholders and braces are told where they stand") {
  CheckRejected(Replaced(kScoreYaml, "Reply: {reply}", "Reply: {replay}"), ":11:10",
                "unknown placeholder {replay} in 'user'");
  CheckRejected(Replaced(kScoreYaml, "Reply: {reply}", "\u00e4\u00f6: {x} {reply}"), ":11:7",
                "unknown placeholder {x}");
  CheckRejected(Replaced(kScoreYaml, "{{\"politeness\": 0 to 5}}", "{\"politeness\"}"), ":9:19",
                "a stray '{' in 'system'");
  CheckRejected(Replaced(kScoreYaml, "0 to 5}}", "0 to 5}"), ":9:41", "a stray '}' in 'system'");
  CheckRejected(Replaced(kScoreYaml, "Reply: {reply}", "Reply: {reply"), ":11:10", "a stray '{'");
  CheckRejected(Replaced(kScoreYaml, "[reply]", "[reply, tone]"), ":7:15",
                "{tone} is missing in 'system' and 'user'");
  CheckRejected(Replaced(kScoreYaml, "[reply]", "[reply, reply]"), ":7:15", "twice");
  CheckRejected(Replaced(kScoreYaml, "[reply]", "[]"), ":7:15", "at least 1");
  CheckRejected(Replaced(kScoreYaml, "[reply]", "[reply, \"a b\"]"), ":7:15", "lower-case");
  CheckRejected(Replaced(kScoreYaml, "placeholders: [reply]\n", ""), ":1:1", "'placeholders'");
  CheckRejected(Replaced(kTwoScoresYaml, "{a}{b}{a}", "\\x7bz}{a}{b}"), ":6:7",
                "unknown placeholder {z}");  // written as an escape, so only its text is told
}

TEST_CASE("answers that cannot be") {
  CheckRejected(Replaced(kScoreYaml, "kind: score", "kind: number"), ":13:9", "score, label");
  CheckRejected(Replaced(kScoreYaml, "fields: [politeness]", "fields: [a, A]"), ":14:11", "'A'");
  CheckRejected(Replaced(kTwoScoresYaml, "[x, y]", "[x, y], lowest: 5"), ":7:9", "above");
  CheckRejected(Replaced(kTwoScoresYaml, "[x, y]", "[x, y], highest: 0"), ":7:48", "above");
  CheckRejected(Replaced(kTwoScoresYaml, "[x, y]", "[x, y], labels: [A]"), ":7:39", "'labels'");
  CheckRejected(Replaced(kLabelYaml, "[GO, STAY, WAIT]", "[GO]"), ":7:46", "at least 2");
  CheckRejected(Replaced(kLabelYaml, "[GO, STAY, WAIT]", "[GO, GO]"), ":7:46", "twice");
  CheckRejected(Replaced(kLabelYaml, "field: choice, ", ""), ":7:9", "'field' is missing");
}

TEST_CASE("controls that cannot be met") {
  CheckRejected(Replaced(kScoreYaml, "{reply: Thank you}", "{}"), ":17:13", "'reply' is missing");
  CheckRejected(Replaced(kScoreYaml, "{reply: Thank you}", "{reply: a, tone: b}"), ":17:24",
                "unknown key 'tone'");
  CheckRejected(Replaced(kScoreYaml, "[4, 5]", "[4, 6]"), ":18:26", "from 0 to 5");
  CheckRejected(Replaced(kScoreYaml, "[4, 5]", "[5, 4]"), ":18:26", "from 0 to 5");
  CheckRejected(Replaced(kScoreYaml, "[4, 5]", "[4]"), ":18:26", "from 0 to 5");
  CheckRejected(Replaced(kScoreYaml, "[4, 5]", "6"), ":18:26", "0 to 5");
  CheckRejected(Replaced(kScoreYaml, "[4, 5]", "polite"), ":18:26", "whole number");
  CheckRejected(Replaced(kScoreYaml, "{politeness: [4, 5]}", "{}"), ":18:13", "'politeness'");
  CheckRejected(Replaced(kScoreYaml, "name: rude", "name: thanks"), ":19:5", "two controls");
  CheckRejected(Replaced(kLabelYaml, "choice: GO", "choice: LEAVE"), ":11:22", "'LEAVE'");
  CheckRejected(Replaced(kLabelYaml, "[STAY, WAIT]", "[]"), ":14:22", "at least 1");
  const std::string none = kLabelYaml.substr(0, kLabelYaml.find("controls:"));
  CheckRejected(none, ":1:1", "'controls' is missing");
  CheckRejected(none + "controls: []\n", ":8:11", "at least one case");
  CheckRejected(none + "controls: yes\n", ":8:11", "must be a list");
}

TEST_CASE("files: read with their digest, missing") {
  const testing::TempDir dir;
  testing::WriteFile(dir.File("a.yaml"), kLabelYaml);
  testing::WriteFile(dir.File("b.yaml"), kLabelYaml + "# a remark\n");
  CHECK(LoadJudgeSpec(dir.File("a.yaml")).sha256 == ParseJudgeSpec(kLabelYaml, "anywhere").sha256);
  CHECK(LoadJudgeSpec(dir.File("a.yaml")).sha256 != LoadJudgeSpec(dir.File("b.yaml")).sha256);
  const auto missing = ErrorOf([&] { LoadJudgeSpec(dir.File("c.yaml")); });
  CHECK(missing.code == base::ErrorCode::kBadInput);
  CHECK(missing.Mentions(dir.File("c.yaml")));
}

}  // namespace
}  // namespace ppx::judge
