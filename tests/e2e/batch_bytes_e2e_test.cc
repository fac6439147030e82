// The same bytes, whoever runs beside a dialogue and however often the run is killed.
#include <csignal>
#include <filesystem>
#include <random>
#include <set>

#include "e2e/batch.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;

TEST_CASE("batch bytes: alone, together, shuffled, on two engines") {
  const Folder folder;
  constexpr int kCount = 7;
  const std::string manifest = WriteJobs(folder, kCount);
  const RunResult together =
      Batch({"--manifest", manifest, "--output-dir", folder / "together", "--batch", "3"});
  INFO(Told(together));
  REQUIRE(together.exit_code == 0);
  const auto expected = Outputs(folder / "together");
  CHECK(expected.size() == 3 * kCount);
  CHECK(ReadSamples(folder / "together/set/0/output.wav").size() ==
        ReadSamples(folder / "0.wav").size());

  std::string shuffled;
  for (const int i : {4, 0, 6, 2, 5, 1, 3}) shuffled += ManifestLine(i);
  WriteBytes(folder / "jobs.jsonl", shuffled);
  REQUIRE(Batch({"--manifest", manifest, "--output-dir", folder / "shuffled", "--batch", "3"})
              .exit_code == 0);
  auto other = Outputs(folder / "shuffled");
  REQUIRE(other.size() == expected.size());
  for (const auto& [path, bytes] : expected) {
    CAPTURE(path);
    // run.json names the manifest's line, which has moved.
    if (!path.ends_with("run.json")) CHECK((other[path] == bytes));
  }

  for (int i = 0; i < kCount; ++i) {
    CAPTURE(i);
    WriteBytes(folder / "jobs.jsonl", ManifestLine(i));
    REQUIRE(Batch({"--manifest", manifest, "--output-dir", folder / "alone", "--batch", "3"})
                .exit_code == 0);
  }
  for (const auto& [path, bytes] : Outputs(folder / "alone")) {
    CAPTURE(path);
    if (!path.ends_with("run.json")) CHECK((expected.at(path) == bytes));
  }

  WriteBytes(folder / "jobs.jsonl", shuffled);
  REQUIRE(Batch({"--manifest", manifest, "--output-dir", folder / "two", "--batch", "3",
                 "--devices", "cpu,cpu", "--threads", "1"})
              .exit_code == 0);
  CHECK((Outputs(folder / "two") == other));
}

TEST_CASE("batch bytes: one dialogue of a batch again with ppx-offline") {
  for (const Arguments& mode : {Arguments{"--dtype", "f32"}, Arguments{"--dtype", "bf16"},
                                Arguments{"--quantize", "int8"}}) {
    CAPTURE(mode.back());
    const Folder folder;
    const std::string manifest = WriteJobs(folder, 4);
    RunOptions options;
    options.environment = {{"PPX_CACHE", folder / "cache"}};
    const RunResult batch = Batch(
        Arguments{"--manifest", manifest, "--output-dir", folder / "out", "--batch", "3"} + mode,
        options);
    INFO(Told(batch));
    REQUIRE(batch.exit_code == 0);
    const RunResult offline =
        RunProgram({PPX_OFFLINE, "--config", folder / "out/set/1/run.json", "--output-wav",
                    folder / "again.wav", "--output-words", folder / "again.json"},
                   CleanEnvironment(options));
    INFO(Told(offline));
    REQUIRE(offline.exit_code == 0);
    CHECK((ReadBytes(folder / "again.wav") == ReadBytes(folder / "out/set/1/output.wav")));
    CHECK(ReadBytes(folder / "again.json") == ReadBytes(folder / "out/set/1/output.json"));
  }
}

// Every kill is a SIGKILL at a random moment; a run that gets through before it ends a round.
TEST_CASE("batch bytes: killed at fifty random moments, the files are those of a quiet run") {
  const Folder folder;
  constexpr int kCount = 10;
  constexpr int kKills = 50;
  const std::string manifest = WriteJobs(folder, kCount);
  const auto arguments = [&](const std::string& out) {
    return Arguments{"--manifest", manifest, "--output-dir", folder / out, "--batch", "4"};
  };
  const RunResult quiet = Batch(arguments("quiet"));
  INFO(Told(quiet));
  REQUIRE(quiet.exit_code == 0);
  const auto expected = Outputs(folder / "quiet");
  const auto summary = ReadJson(folder / "quiet/.ppx-batch/summary.json");
  const double whole_s = summary.at("seconds").at("total").get<double>();

  const auto check_journal = [&] {
    std::multiset<std::string> done;
    for (const auto& entry : JournalEntries(folder / "killed", "done")) {
      done.insert(entry.at("id").get<std::string>());
    }
    for (const std::string& id : done) {
      CAPTURE(id);
      CHECK(done.count(id) == 1);
    }
    return done.size();
  };
  std::mt19937 random(20261121);
  int kills = 0;
  int rounds = 0;
  while (kills < kKills) {
    RunOptions options;
    options.timeout_s = whole_s * (0.05 + 0.9 * static_cast<double>(random() % 1000U) / 1000);
    const RunResult run = Batch(arguments("killed"), options);
    if (run.timed_out) {
      ++kills;
      continue;
    }
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    CHECK(check_journal() == kCount);
    CHECK((Outputs(folder / "killed") == expected));
    fs::remove_all(folder / "killed");
    ++rounds;
  }
  MESSAGE(kills, " kills, ", rounds, " whole runs");
  const RunResult last = Batch(arguments("killed"));
  INFO(Told(last));
  REQUIRE(last.exit_code == 0);
  CHECK(check_journal() == kCount);
  CHECK((Outputs(folder / "killed") == expected));
  CHECK(BatchCommand({"verify", folder / "killed"}).exit_code == 0);
}

}  // namespace
}  // namespace ppx::test
