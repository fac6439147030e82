// The judges that come with the project.
#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "judge/judge_spec.h"
#include "support/doctest.h"
#include "support/temp_dir.h"

namespace ppx::judge {
namespace {

using Names = std::vector<std::string>;

JudgeSpec Shipped(const std::string& name) {
  return LoadJudgeSpec(PPX_SOURCE_DIR "/eval/judges/" + name + ".yaml");
}

TEST_CASE("every file is a judge named like it, with clear controls and a bare request") {
  Names names;
  for (const auto& entry : std::filesystem::directory_iterator(PPX_SOURCE_DIR "/eval/judges")) {
    if (entry.path().extension() != ".yaml") continue;
    names.push_back(entry.path().stem().string());
    INFO(names.back());
    const JudgeSpec spec = LoadJudgeSpec(entry.path().string());
    CHECK(spec.name == names.back());
    CHECK(spec.temperature == 0);
    CHECK(spec.controls.size() >= 3);
    CHECK(spec.controls.size() <= 6);
    for (const Control& control : spec.controls) {
      const std::string prompt =
          RenderPrompt(spec.system, control.values) + RenderPrompt(spec.user, control.values);
      for (const auto& [name, value] : control.values) {
        CHECK(prompt.find(value) != std::string::npos);
        CHECK(prompt.find("{" + name + "}") == std::string::npos);
      }
      CHECK(prompt.find("{{") == std::string::npos);
      CHECK(prompt.find("}}") == std::string::npos);
      for (const std::string& field : spec.fields) {
        CHECK(prompt.find("\"" + field + "\"") != std::string::npos);  // the judge is told the key
      }
    }
  }
  std::sort(names.begin(), names.end());
  CHECK(names == Names{"behaviour_v15", "relevance", "service_duplex"});
}

TEST_CASE("the example of the README is a judge") {
  const std::string readme = testing::ReadFile(PPX_SOURCE_DIR "/eval/judges/README.md");
  const std::string fence = "```yaml\n";
  const size_t begin = readme.find(fence);
  REQUIRE(begin != std::string::npos);
  const size_t end = readme.find("```", begin + fence.size());
  const JudgeSpec spec =
      ParseJudgeSpec(readme.substr(begin + fence.size(), end - begin - fence.size()), "README.md");
  CHECK(spec.fields == Names{"politeness"});
}

TEST_CASE("relevance: one mark, controls at both ends") {
  const JudgeSpec spec = Shipped("relevance");
  CHECK(spec.placeholders == Names{"context", "interrupt", "reply"});
  CHECK(spec.fields == Names{"relevance"});
  CHECK(spec.scale.highest == 5);
  const auto has = [&](auto test) {
    return std::any_of(spec.controls.begin(), spec.controls.end(),
                       [&](const Control& c) { return test(c.scores.at("relevance")); });
  };
  CHECK(has([](const ScoreRange& r) { return r.highest <= 1; }));
  CHECK(has([](const ScoreRange& r) { return r.lowest >= 4; }));
}

TEST_CASE("behaviour: four labels, a control for each") {
  const JudgeSpec spec = Shipped("behaviour_v15");
  CHECK(spec.placeholders == Names{"clean_input", "input", "clean_output", "output"});
  CHECK(spec.labels == Names{"C_RESPOND", "C_RESUME", "C_UNCERTAIN_HANDLING", "C_UNKNOWN"});
  std::set<std::string> expected;
  for (const Control& control : spec.controls) {
    CHECK(control.labels.size() == 1);
    expected.insert(control.labels.begin(), control.labels.end());
  }
  CHECK(expected.size() == 4);
  const std::string system = RenderPrompt(spec.system, {});
  for (const std::string& label : spec.labels) CHECK(system.find(label + ":") != std::string::npos);
}

TEST_CASE("service: two marks; no reply is 0 and 0") {
  const JudgeSpec spec = Shipped("service_duplex");
  CHECK(spec.placeholders == Names{"role_prompt", "question", "reply"});
  CHECK(spec.fields == Names{"dialogue_naturalness", "task_adherence"});
  const auto silent = std::find_if(spec.controls.begin(), spec.controls.end(),
                                   [](const Control& c) { return c.values.at("reply").empty(); });
  REQUIRE(silent != spec.controls.end());
  for (const std::string& field : spec.fields) CHECK(silent->scores.at(field).highest == 0);
}

}  // namespace
}  // namespace ppx::judge
