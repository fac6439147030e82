// The toolkit's own suite: agents that behave in known ways get the scores that they deserve.
#include <cmath>

#include "e2e/eval.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

using Json = nlohmann::json;

constexpr const char* kAgents[] = {"oracle", "silent",   "always_talking", "echo",
                                   "late",   "greeting", "talk_through"};

// Written and checked once, for all cases of this file.
const std::string& Scenes() {
  static const Folder folder;
  static const std::string path = [] {
    const RunResult run =
        RunProgram({PPX_SOURCE_DIR "/scripts/make-scenes", folder.path(), "--check"}, {});
    INFO(run.out);
    INFO(run.err);
    REQUIRE(run.exit_code == 0);
    return folder.path();
  }();
  return path;
}

Json Scored(const std::string& root, const std::string& suite, const Arguments& vad) {
  const RunResult run = Eval(Arguments{"score", root, "--suite", suite, "--cache", SharedCache(),
                                       "--resamples", "200", "--json"} +
                             vad);
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  return Json::parse(run.out);
}

// The value that a row of expected.json speaks of: of one sample, or the task's mean.
Json Found(const Json& results, const Json& want) {
  if (want.contains("sample")) {
    return SampleValue(results, want.at("task"), want.at("sample"), want.at("scorer"),
                       want.at("metric"));
  }
  return MetricOf(results, want.at("task"), want.at("scorer"), want.at("metric"));
}

// Rows without a tolerance are of speech that a detector may well cut into other segments.
int CheckExpectations(const std::string& agent, const Arguments& vad) {
  const std::string root = Scenes() + "/" + agent;
  const Json v10 = Scored(root, "fdb-v1.0", vad);
  const Json v15 = Scored(root, "fdb-v1.5", vad);
  int checked = 0;
  const Json expected = ReadJson(root + "/expected.json");
  for (const Json& want : expected.at("rows")) {
    if (want.at("tolerance").is_null()) continue;
    CAPTURE(agent);
    CAPTURE(want.dump());
    bool of_v15 = false;
    for (const Json& sample : v15.at("samples")) {
      of_v15 = of_v15 || sample.at("task") == want.at("task");
    }
    const Json found = Found(of_v15 ? v15 : v10, want);
    CAPTURE(found.dump());
    ++checked;
    if (want.contains("status")) {
      CHECK(found.at("value").is_null());
      if (want.contains("sample")) CHECK(found.at("status") == want.at("status"));
    } else {
      REQUIRE_FALSE(found.at("value").is_null());
      CHECK(std::abs(found.at("value").get<double>() - want.at("value").get<double>()) <=
            want.at("tolerance").get<double>());
      if (want.contains("n")) CHECK(found.at("n") == want.at("n"));
    }
  }
  return checked;
}

TEST_CASE("agents get the scores they deserve, by Silero's detector") {
  for (const char* agent : kAgents) {
    CHECK(CheckExpectations(agent, {"--vad-model", PPX_SILERO_VAD}) > 100);
  }
}

TEST_CASE("agents get the scores they deserve, by the energy gate") {
  for (const char* agent : kAgents) CHECK(CheckExpectations(agent, {"--vad", "energy"}) > 100);
}

TEST_CASE("the oracle is better than the rest, and compare says so") {
  const Folder folder;
  const auto score = [&](const std::string& agent) {
    const RunResult run =
        Eval(Score(Scenes() + "/" + agent) + Arguments{"-q", "-o", folder / (agent + ".json")});
    INFO(run.err);
    REQUIRE(run.exit_code == 0);
  };
  score("oracle");
  score("always_talking");
  const RunResult run =
      Eval({"compare", folder / "oracle.json", folder / "always_talking.json", "--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json comparison = Json::parse(run.out);
  for (const Json& change : comparison.at("changes")) {
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
  const RunResult run = RunProgram({program, folder.path() + "/new", "--agent", "oracle"}, {});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  for (const char* file : {"output.wav", "input.wav", "output.json"}) {
    const std::string sample = "/oracle/candor_turn_taking/1/" + std::string(file);
    CHECK(ReadBytes(folder.path() + "/new" + sample) == ReadBytes(Scenes() + sample));
  }
  CHECK(RunProgram({program, folder.path(), "--samples", "99"}, {}).exit_code == 2);
  CHECK(RunProgram({program, folder.path(), "--agent", "nobody"}, {}).exit_code == 2);
  CHECK(RunProgram({program, "/proc/nowhere"}, {}).exit_code == 4);
}

}  // namespace
}  // namespace ppx::test
