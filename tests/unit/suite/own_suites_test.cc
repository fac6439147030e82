// The suites, published numbers and prompts that the toolkit ships.
#include <algorithm>
#include <filesystem>
#include <set>

#include "suite/references.h"
#include "suite/suite.h"
#include "support/doctest.h"

namespace ppx::suite {
namespace {

const std::string kEval = PPX_SOURCE_DIR "/eval/";

const Task& Named(const Suite& suite, const std::string& name) {
  const auto found = std::find_if(suite.tasks.begin(), suite.tasks.end(),
                                  [&](const Task& task) { return task.name == name; });
  REQUIRE(found != suite.tasks.end());
  return *found;
}

TEST_CASE("every suite file loads, and its published numbers are of its own tasks and metrics") {
  int suites = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kEval)) {
    if (entry.path().extension() != ".yaml") continue;
    CAPTURE(entry.path());
    const Suite suite = LoadSuite(entry.path().string());
    ++suites;
    CHECK(suite.id == entry.path().stem().string());
    if (suite.references.empty()) continue;
    for (const ReferenceValue& value : LoadReferences(suite.references)) {
      CAPTURE(value.metric);
      CHECK_FALSE(value.source.empty());
      CHECK(Named(suite, value.task).Find(value.metric) != nullptr);
    }
  }
  CHECK(suites >= 5);
}

TEST_CASE("FullDuplexBench v1.0 as published") {
  const Suite suite = LoadSuite(kEval + "fdb-v1.0.yaml");
  REQUIRE(suite.tasks.size() == 5);
  int64_t samples = 0;
  for (const Task& task : suite.tasks) samples += task.expected_samples.value();
  CHECK(samples == 727);
  CHECK(Named(suite, "candor_pause_handling").Find("takeover_rate")->better == Better::kLower);
  CHECK(Named(suite, "candor_turn_taking").Find("takeover_rate")->better == Better::kHigher);
  CHECK(Named(suite, "icc_backchannel").expected_samples == 55);
  CHECK(Named(suite, "synthetic_user_interruption").prompt.starts_with("You are a wise"));
}

TEST_CASE("FullDuplexBench v1.5 as published") {
  const Suite suite = LoadSuite(kEval + "fdb-v1.5.yaml");
  REQUIRE(suite.tasks.size() == 4);
  int64_t samples = 0;
  for (const Task& task : suite.tasks) samples += task.expected_samples.value();
  CHECK(samples == 499);
}

}  // namespace
}  // namespace ppx::suite
