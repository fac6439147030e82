// Suite files and published numbers: what is read, what is refused.
#include <fstream>
#include <string>

#include "suite/references.h"
#include "suite/suite.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::suite {
namespace {

using testing::ErrorOf;
using testing::TempDir;

const std::string kGood =
    "id: x\nversion: 2\nlayout: task_folders\nreferences: r.yaml\ntasks:\n"
    "  t:\n    kind: turn_taking\n    samples: 3\n    prompt: Hello.\n"
    "    files: {user: u.wav, user_channel: 1, agent: a.wav, words: [w.json, v.json], marks: "
    "m.json}\n"
    "    metrics: {takeover_rate: higher, response_latency_s: lower, loudness_lufs: none}\n";

Suite Load(const std::string& yaml) {
  const TempDir dir;
  const std::string path = dir.path() + "/s.yaml";
  std::ofstream(path) << yaml;
  return LoadSuite(path);
}

std::string With(const std::string& from, const std::string& to) {
  std::string yaml = kGood;
  const size_t at = yaml.find(from);
  REQUIRE(at != std::string::npos);
  return yaml.replace(at, from.size(), to);
}

TEST_CASE("a suite") {
  const Suite suite = Load(kGood);
  CHECK(suite.id == "x");
  CHECK(suite.name == "x");
  CHECK(suite.version == 2);
  CHECK(suite.sha256.size() == 64);
  CHECK(suite.references.ends_with("/r.yaml"));
  REQUIRE(suite.tasks.size() == 1);
  const Task& task = suite.tasks[0];
  CHECK(task.kind == TaskKind::kTurnTaking);
  CHECK(task.folder == "t");
  CHECK(task.expected_samples == 3);
  CHECK(task.files.user_channel == 1);
  CHECK(task.files.words == std::vector<std::string>{"w.json", "v.json"});
  REQUIRE(task.metrics.size() == 3);
  CHECK(task.metrics[0].name == "takeover_rate");
  CHECK(task.metrics[0].better == Better::kHigher);
  CHECK(task.metrics[2].better == Better::kNone);
  CHECK(task.Find("nothing") == nullptr);
}

TEST_CASE("slips are refused with their place") {
  const auto refused = [](const std::string& yaml, const std::string& part) {
    CAPTURE(part);
    const auto thrown = ErrorOf([&] { Load(yaml); });
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CAPTURE(thrown.message);
    CHECK(thrown.Mentions(part));
  };
  refused(With("kind: turn_taking", "kind: turns"), "expected one of pause_handling");
  refused(With("agent: a.wav", "agent: ../a.wav"), "inside the suite's root");
  refused(With("agent: a.wav", "agent: /a.wav"), "inside the suite's root");
  refused(With("agent: a.wav, ", ""), "'agent' is missing");
  refused(With("samples: 3", "samples: 0"), "must be 1 to");
  refused(With("lower", "less"), "expected one of none, higher, lower");
  refused(With("prompt", "promt"), "unknown key 'promt'");
  refused(With("layout: task_folders", "layout: flat"), "layout");
  refused(With("version: 2\n", ""), "'version' is missing");
  refused("id: x\nversion: 1\nlayout: task_folders\ntasks: {}\n", "is empty");
  std::string two = With("layout: task_folders", "layout: sample_folders");
  two +=
      "  u:\n    kind: channels\n    files: {agent: a.wav}\n    metrics: {loudness_lufs: none}\n";
  refused(two, "cannot tell them apart");
}

TEST_CASE("published numbers") {
  const TempDir dir;
  const std::string path = dir.path() + "/r.yaml";
  std::ofstream(path) << "rows:\n  - {system: S, source: paper, values: {t: {m: 0.5, n: 2}}}\n";
  const auto values = LoadReferences(path);
  REQUIRE(values.size() == 2);
  CHECK(values[0].system == "S");
  CHECK(values[0].source == "paper");
  CHECK(values[0].task == "t");
  CHECK(values[1].metric == "n");
  CHECK(values[1].value == 2.0);
  std::ofstream(path) << "rows:\n  - {system: S, values: {t: {m: 0.5}}}\n";
  CHECK(ErrorOf([&] { LoadReferences(path); }).Mentions("'source' is missing"));
}

}  // namespace
}  // namespace ppx::suite
