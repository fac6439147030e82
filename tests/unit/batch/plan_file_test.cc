#include "batch/plan_file.h"

#include <string>

#include "batch/state_lock.h"
#include "fake_renderer.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

using testing::ErrorOf;
using testing::TempDir;

TEST_CASE("a plan written is the plan read") {
  const TempDir dir;
  Plan plan = MakePlan({30, 0, 9'000'000'000});
  plan[1].slots = 2;
  plan[2].outputs.clear();
  plan[0].id = "a \"b\"/caf\u00e9";
  WriteStateFile(dir.path(), kPlanName, PlanText(plan), /*lock=*/true);
  const Plan read = ReadPlan(dir.path());
  REQUIRE(read.size() == plan.size());
  for (size_t i = 0; i < plan.size(); ++i) {
    CHECK(read[i].id == plan[i].id);
    CHECK(read[i].key == plan[i].key);
    CHECK(read[i].frames == plan[i].frames);
    CHECK(read[i].slots == plan[i].slots);
    CHECK(read[i].outputs == plan[i].outputs);
  }
  CHECK(PlanText(read) == PlanText(plan));
  WriteStateFile(dir.path(), kPlanName, PlanText({}), /*lock=*/true);
  CHECK(ReadPlan(dir.path()).empty());
}

TEST_CASE("damaged plans name their line") {
  const std::string good = PlanText(MakePlan({1}));
  CHECK(ParsePlan(good + good, "p").size() == 2);
  for (const std::string& bad :
       {std::string("\n"), std::string("{}\n"), std::string("[1]\n"), std::string("{\n"),
        good.substr(0, good.size() - 1),
        std::string(R"({"id":"","key":"","frames":1,"slots":1,"outputs":[]})") + "\n",
        std::string(R"({"id":"a","key":"","frames":-1,"slots":1,"outputs":[]})") + "\n",
        std::string(R"({"id":"a","key":"","frames":1,"slots":0,"outputs":[]})") + "\n",
        std::string(R"({"id":"a","key":"","frames":1,"slots":1,"outputs":[1]})") + "\n"}) {
    INFO(bad);
    const auto thrown = ErrorOf([&] { ParsePlan(good + bad, "plan.jsonl"); });
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CHECK(thrown.Mentions("plan.jsonl:2: "));
  }
  const TempDir dir;
  CHECK(ErrorOf([&] { ReadPlan(dir.path()); }).Mentions("plan.jsonl"));
}

TEST_CASE("no two dialogues may write the same file") {
  Plan plan = MakePlan({1, 1});
  CheckPlan(plan);
  SUBCASE("the same id") {
    plan[1].id = "d0";
    CHECK(ErrorOf([&] { CheckPlan(plan); }).Mentions("id d0"));
  }
  SUBCASE("the same file") {
    plan[1].outputs = {"./d0//output.wav"};
    const auto thrown = ErrorOf([&] { CheckPlan(plan); });
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CHECK(thrown.Mentions("d0 and d1"));
  }
  SUBCASE("a file that is another's folder") {
    plan[1].outputs = {"d0/output.wav/x"};
    CHECK(ErrorOf([&] { CheckPlan(plan); }).Mentions("is a folder of d1"));
    plan[1].outputs = {"d0"};
    CHECK(ErrorOf([&] { CheckPlan(plan); }).Mentions("is a folder of d0"));
  }
}

}  // namespace
}  // namespace ppx::batch
