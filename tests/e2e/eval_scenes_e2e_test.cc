// The toolkit's own suite: agents that behave in known ways get the scores that they deserve.
#include <cmath>
#include <set>

#include "e2e/eval.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

using Json = nlohmann::json;

// Written once, for all cases of this file.
const std::string& Scenes() {
  static const Folder folder;
  static const std::string path = [] {
    const RunResult run =
        RunProgram({PPX_SOURCE_DIR "/scripts/make-scenes", folder.path(), "--samples", "2"}, {});
    INFO(run.err);
    REQUIRE(run.exit_code == 0);
    return folder.path();
  }();
  return path;
}

void CheckExpectations(const std::string& suite, const std::string& agent, const Arguments& vad) {
  const std::string root = Scenes() + "/" + suite + "/" + agent;
  const RunResult run = Eval(Arguments{"score", root, "--suite", "fdb-" + suite, "--no-cache",
                                       "--resamples", "500", "--json"} +
                             vad);
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json results = Json::parse(run.out);
  const Json expected = ReadJson(root + "/expected.json");
  REQUIRE(expected.size() >= 4);
  for (const Json& want : expected) {
    CAPTURE(agent);
    CAPTURE(want.dump());
    const Json metric = MetricOf(results, want.at("task"), want.at("scorer"), want.at("metric"));
    CAPTURE(metric.dump());
    if (want.contains("status")) {
      CHECK(metric.at("value").is_null());
      CHECK(metric.at("statuses").size() == 1);
      CHECK(metric.at("statuses").contains(want.at("status").get<std::string>()));
    } else {
      REQUIRE_FALSE(metric.at("value").is_null());
      CHECK(metric.at("n_unscored") == 0);
      CHECK(std::abs(metric.at("value").get<double>() - want.at("value").get<double>()) <=
            want.at("tolerance").get<double>());
    }
  }
}

TEST_CASE("oracle, silent, always talking, echoing: by Silero's detector") {
  const Arguments silero{"--vad-model", PPX_SILERO_VAD};
  for (const char* agent : {"oracle", "silent", "always_talking", "echo"}) {
    CheckExpectations("v1.0", agent, silero);
    CheckExpectations("v1.5", agent, silero);
  }
}

TEST_CASE("the same by the energy gate") {
  for (const char* agent : {"oracle", "silent", "always_talking", "echo"}) {
    CheckExpectations("v1.0", agent, {"--vad", "energy"});
    CheckExpectations("v1.5", agent, {"--vad", "energy"});
  }
}

TEST_CASE("the oracle is better than the rest, and compare says so") {
  const Folder folder;
  const auto score = [&](const std::string& agent) {
    const RunResult run = Eval(Score(Scenes() + "/v1.0/" + agent) +
                               Arguments{"-q", "-o", folder / (agent + ".json")});
    INFO(run.err);
    REQUIRE(run.exit_code == 0);
  };
  score("oracle");
  score("always_talking");
  const RunResult run =
      Eval({"compare", folder / "oracle.json", folder / "always_talking.json", "--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  for (const Json& change : Json::parse(run.out).at("changes")) {
    if (change.at("name") != "takeover_rate" || change.at("task") != "candor_pause_handling")
      continue;
    CHECK(change.at("difference") == 1.0);
    // Two samples cannot tell, and nobody pretends that they can.
    CHECK(change.at("verdict") == "cannot tell");
  }
}

TEST_CASE("the same scenes again, and what cannot be made") {
  const Folder folder;
  const std::string program = PPX_SOURCE_DIR "/scripts/make-scenes";
  const RunResult run =
      RunProgram({program, folder.path(), "--samples", "1", "--agent", "oracle"}, {});
  REQUIRE(run.exit_code == 0);
  for (const char* file : {"output.wav", "input.wav", "output.json"}) {
    const std::string sample = "/v1.0/oracle/candor_turn_taking/0/" + std::string(file);
    CHECK(ReadBytes(folder.path() + sample) == ReadBytes(Scenes() + sample));
  }
  CHECK(RunProgram({program, folder.path(), "--samples", "99"}, {}).exit_code == 2);
  CHECK(RunProgram({program, folder.path(), "--agent", "nobody"}, {}).exit_code == 2);
  CHECK(RunProgram({program, "/proc/nowhere"}, {}).exit_code == 1);
}

}  // namespace
}  // namespace ppx::test
