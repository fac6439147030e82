// What is done, what is left, who does it, and what it says.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <thread>

#include "e2e/batch.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;

TEST_CASE("batch work: a second run does nothing; a change, a loss or --verify does what is due") {
  const Folder folder;
  const std::string manifest = WriteJobs(folder, 3);
  const Arguments arguments{"--manifest", manifest, "--output-dir", folder / "out", "--json"};
  const auto done = [&](const Arguments& more = {}) {
    const RunResult run = Batch(arguments + more);
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    return nlohmann::json::parse(run.out).at("done").get<int>();
  };
  CHECK(done() == 3);
  const auto first = Outputs(folder / "out");
  CHECK(done() == 0);
  CHECK(done({"--seed", "9"}) == 0);  // the manifest names seeds
  fs::remove(folder / "out/set/1/output.json");
  CHECK(done() == 1);
  CHECK((Outputs(folder / "out") == first));

  // A change that leaves the size alone is seen by its content only.
  std::string bytes = ReadBytes(folder / "out/set/2/output.wav");
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  WriteBytes(folder / "out/set/2/output.wav", bytes);
  CHECK(done() == 0);
  const RunResult verify = BatchCommand({"verify", folder / "out"});
  CHECK(verify.exit_code == 1);
  CHECK(verify.out.find("set/2/output.wav") != std::string::npos);
  CHECK(done({"--verify"}) == 1);
  CHECK((Outputs(folder / "out") == first));
  CHECK(BatchCommand({"verify", folder / "out"}).exit_code == 0);

  // Another input, another setting: only what they touch.
  WriteRecording(folder / "0.wav", Noise(9000, 77));
  CHECK(done() == 1);
  CHECK(done({"--temp-text", "0.5"}) == 3);
  const RunResult dry =
      Batch({"--manifest", manifest, "--output-dir", folder / "out", "--dry-run"});
  CHECK(dry.exit_code == 0);
  CHECK(dry.out.find("3 to do") != std::string::npos);
  CHECK(dry.out.find("3 done, but of") == std::string::npos);
}

TEST_CASE("batch work: one bad input is one failure; enough of them end the run") {
  const Folder folder;
  std::string manifest = WriteJobs(folder, 3);
  WriteBytes(folder / "1.wav", "not a recording");
  const Arguments arguments{"--manifest", manifest, "--output-dir", folder / "out"};
  const RunResult run = Batch(arguments + Arguments{"--json"});
  INFO(Told(run));
  CHECK(run.exit_code == 1);
  const auto summary = nlohmann::json::parse(run.out);
  CHECK(summary.at("done") == 2);
  CHECK(summary.at("failed") == 1);
  REQUIRE(summary.at("failures").size() == 1);
  CHECK(summary.at("failures")[0].at("id") == "set/1");
  CHECK(summary.at("failures")[0].at("error").get<std::string>().find("1.wav") !=
        std::string::npos);
  CHECK(JournalEntries(folder / "out", "failed").size() == 1);
  CHECK_FALSE(fs::exists(folder / "out/set/1/output.wav"));

  WriteRecording(folder / "1.wav", Noise(5000));
  CHECK(Batch(arguments).exit_code == 0);
  CHECK(fs::exists(folder / "out/set/1/output.wav"));

  for (const int i : {0, 1, 2}) WriteBytes(folder / (std::to_string(i) + ".wav"), "x");
  const RunResult ended = Batch(
      {"--manifest", manifest, "--output-dir", folder / "other", "--json", "--max-failures", "0"});
  CHECK(ended.exit_code == 1);
  CHECK(nlohmann::json::parse(ended.out).at("too_many_failures") == true);
}

TEST_CASE("batch work: shards share nothing and leave nothing out; merge tells what is missing") {
  const Folder folder;
  const std::string manifest = WriteJobs(folder, 8);
  REQUIRE(
      Batch({"--manifest", manifest, "--output-dir", folder / "one", "--batch", "2"}).exit_code ==
      0);
  const Arguments arguments{"--manifest", manifest, "--output-dir", folder / "out",
                            "--batch",    "2",      "--json"};
  int done = 0;
  for (const char* shard : {"1/3", "3/3"}) {
    const RunResult run = Batch(arguments + Arguments{"--shard", shard});
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    done += nlohmann::json::parse(run.out).at("done").get<int>();
  }
  CHECK(done < 8);
  const RunResult gaps = BatchCommand({"merge", folder / "out"});
  CHECK(gaps.exit_code == 1);
  CHECK(gaps.out.find("not done") != std::string::npos);

  RunOptions array;
  array.environment = {{"SLURM_ARRAY_TASK_ID", "11"},
                       {"SLURM_ARRAY_TASK_MIN", "10"},
                       {"SLURM_ARRAY_TASK_MAX", "12"},
                       {"SLURM_ARRAY_TASK_STEP", "1"},
                       {"SLURM_ARRAY_TASK_COUNT", "3"}};
  const RunResult run = Batch(arguments, array);
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(nlohmann::json::parse(run.out).at("shard") == "2/3");
  CHECK(done + nlohmann::json::parse(run.out).at("done").get<int>() == 8);
  CHECK(BatchCommand({"merge", folder / "out"}).exit_code == 0);
  CHECK((Outputs(folder / "out") == Outputs(folder / "one")));
  CHECK(nlohmann::json::parse(Batch(arguments).out).at("done") == 0);
}

TEST_CASE("batch work: two processes on one folder, and no dialogue twice") {
  const Folder folder;
  const std::string manifest = WriteJobs(folder, 6);
  const Arguments arguments{"--manifest", manifest, "--output-dir", folder / "out", "--json"};
  RunResult first;
  RunResult second;
  std::thread a([&] { first = Batch(arguments); });
  std::thread b([&] { second = Batch(arguments); });
  a.join();
  b.join();
  INFO(Told(first));
  INFO(Told(second));
  REQUIRE(first.exit_code == 0);
  REQUIRE(second.exit_code == 0);
  const int of_first = nlohmann::json::parse(first.out).at("done").get<int>();
  const int of_second = nlohmann::json::parse(second.out).at("done").get<int>();
  CHECK(of_first + of_second == 6);
  CHECK(JournalEntries(folder / "out", "done").size() == 6);
}

TEST_CASE("batch work: SIGTERM ends a run cleanly, and the next one goes on") {
  const Folder folder;
  constexpr size_t kDialogues = 150;  // seconds of work: the signal comes amid it
  const std::string manifest = WriteJobs(folder, kDialogues);
  const Arguments arguments{"--manifest", manifest, "--output-dir", folder / "out", "--batch", "1"};
  RunOptions options;
  options.signal_at = "\"event\":\"progress\"";
  options.signal = SIGTERM;
  const RunResult ended = Batch(arguments + Arguments{"--json-progress"}, options);
  INFO(Told(ended));
  CHECK(ended.exit_code == 130);
  for (const auto& [path, bytes] : Outputs(folder / "out")) CHECK(path.ends_with(".tmp") == false);
  const RunResult rest = Batch(arguments + Arguments{"--json"});
  CHECK(rest.exit_code == 0);
  CHECK(JournalEntries(folder / "out", "done").size() == kDialogues);
}

TEST_CASE("batch work: a matrix gives every input to every variant, with the same random numbers") {
  const Folder folder;
  const std::string manifest = WriteJobs(folder, 2);
  WriteBytes(folder / "cold.yaml", "temp-text: 0\ntemp-audio: 0\n");
  WriteBytes(folder / "warm.yaml", "temp-text: 1.2\n");
  const RunResult run =
      Batch({"--manifest", manifest, "--output-dir", folder / "out", "--matrix", "seed=4..5",
             "--matrix", "config=" + folder / "cold.yaml" + "," + folder / "warm.yaml"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  const auto outputs = Outputs(folder / "out");
  CHECK(outputs.size() == 3 * 8);
  const auto wav = [&](const std::string& variant) {
    return outputs.at(variant + "/set/0/output.wav");
  };
  CHECK((wav("seed=4,config=cold") == wav("seed=5,config=cold")));  // greedy: no random numbers
  CHECK((wav("seed=4,config=warm") != wav("seed=5,config=warm")));
  CHECK(Batch({"--manifest", manifest, "--output-dir", folder / "out", "--matrix", "voices=a"})
            .exit_code == 2);
}

TEST_CASE("batch work: a suite in its own folder, and as a mirror that can be scored") {
  const Folder folder;
  const std::string sample = folder / "data/candor_turn_taking/1";
  fs::create_directories(sample);
  WriteRecording(sample + "/input.wav", Noise(48000));
  WriteBytes(sample + "/turn_taking.json",
             R"([{"text": "[TURN-TAKING]", "timestamp": [0.5, 0.6]}])");
  WriteBytes(sample + "/words.json", "another agent's");
  const Arguments suite{"--suite", "fdb-v1.0", "--data", folder / "data"};
  const RunResult mirror = Batch(suite + Arguments{"--output-dir", folder / "mirror"});
  INFO(Told(mirror));
  REQUIRE(mirror.exit_code == 0);
  const auto outputs = Outputs(folder / "mirror");
  CHECK(outputs.at("candor_turn_taking/1/turn_taking.json").starts_with("-> "));
  CHECK(outputs.contains("candor_turn_taking/1/output.wav"));
  CHECK(outputs.contains("candor_turn_taking/1/output.json"));
  CHECK_FALSE(outputs.contains("candor_turn_taking/1/words.json"));
  CHECK_FALSE(fs::exists(sample + "/output.wav"));
  const auto record = ReadJson(folder / "mirror/candor_turn_taking/1/run.json");
  CHECK(record.at("options").at("text-prompt") == "You enjoy having a good conversation.");

  const RunResult place = Batch(suite);
  INFO(Told(place));
  REQUIRE(place.exit_code == 0);
  CHECK(ReadBytes(sample + "/output.wav") == outputs.at("candor_turn_taking/1/output.wav"));
  CHECK(ReadBytes(sample + "/input.wav").size() > 48000);
  CHECK(Batch(suite + Arguments{"--task", "no_such"}).exit_code == 2);
}

TEST_CASE("batch work: inputs stay, behind links and where another agent has spoken before") {
  const Folder folder;
  const std::string sample = folder / "data/user_interruption/1";
  fs::create_directories(sample);
  WriteRecording(sample + "/input.wav", Noise(30000));
  WriteRecording(sample + "/clean_input.wav", Noise(30000, 2));
  for (const char* name : {"clean_output.wav", "clean_output.json", "output.wav", "output.json"}) {
    WriteBytes(sample + "/" + name, "another agent's");
  }
  WriteBytes(sample + "/metadata.json", R"({"timestamps": [0.5, 0.9]})");
  const auto before = Outputs(folder / "data");
  for (int run = 0; run < 2; ++run) {
    const RunResult mirror =
        Batch({"--suite", "fdb-v1.5", "--data", folder / "data", "--output-dir", folder / "mirror",
               "--also", "stereo", "--seed", std::to_string(run)});
    INFO(Told(mirror));
    REQUIRE(mirror.exit_code == 0);
    CHECK((Outputs(folder / "data") == before));
    const auto outputs = Outputs(folder / "mirror/user_interruption/1");
    CHECK(outputs.at("clean_output.wav").starts_with("RIFF"));
    CHECK(outputs.at("output.wav").starts_with("RIFF"));
    CHECK(outputs.at("metadata.json").starts_with("-> "));
  }

  fs::create_directories(folder / "own/set");
  WriteRecording(folder / "own/set/output.wav", Noise(9000));
  WriteBytes(folder / "own/jobs.jsonl", R"({"id": "set", "audio": "set/output.wav"})");
  const RunResult over =
      Batch({"--manifest", folder / "own/jobs.jsonl", "--output-dir", folder / "own"});
  INFO(Told(over));
  CHECK(over.exit_code == 2);
  CHECK(over.err.find("over an input") != std::string::npos);
  CHECK(ReadSamples(folder / "own/set/output.wav").size() == 9000);
}

TEST_CASE("batch work: what is wrong is said in a line, with its exit code") {
  const Folder folder;
  const std::string manifest = WriteJobs(folder, 1);
  const auto refused = [&](const Arguments& arguments, int code, const std::string& text) {
    const RunResult run = Batch(arguments);
    INFO(Told(run));
    CHECK(run.exit_code == code);
    CHECK(run.err.find(text) != std::string::npos);
    CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
  };
  refused({}, 2, "--manifest, --suite");
  refused({"--manifest", manifest}, 2, "--output-dir");
  refused({"--manifest", folder / "none", "--output-dir", folder / "o"}, 3, "none");
  refused({"--manifest", manifest, "--output-dir", folder / "o", "--batch", "zero"}, 2, "--batch");
  refused({"--manifest", manifest, "--output-dir", folder / "o", "--shard", "3/2"}, 2, "--shard");
  refused({"--manifest", manifest, "--output-dir", folder / "o", "--seed", "-1"}, 2, "--seed");
  refused({"--manifest", manifest, "--output-dir", "/proc/none"}, 2, "/proc/none");
  refused({"--manifest", manifest, "--output-dir", folder / "o", "--devices", "cpu,tpu"}, 2, "tpu");
  WriteBytes(folder / "bad.jsonl", "{\"id\": \"a\", \"audio\": \"0.wav\", \"volume\": 3}\n");
  refused({"--manifest", folder / "bad.jsonl", "--output-dir", folder / "o"}, 3, "bad.jsonl:1");
  WriteBytes(folder / "same.jsonl", ManifestLine(0) + ManifestLine(0));
  refused({"--manifest", folder / "same.jsonl", "--output-dir", folder / "o"}, 3, "same.jsonl:2");
  CHECK(BatchCommand({"verify", folder / "nothing"}).exit_code == 3);
  CHECK(BatchCommand({"merge", folder / "nothing"}).exit_code == 3);
}

TEST_CASE("batch work: a moving line on a terminal only; help with examples and exit codes") {
  const Folder folder;
  const std::string manifest = WriteJobs(folder, 3);
  const RunResult piped = Batch({"--manifest", manifest, "--output-dir", folder / "a"});
  CHECK(piped.err.empty());
  CHECK(piped.out.find("3 done") != std::string::npos);
  RunOptions terminal;
  terminal.terminal = true;
  const RunResult shown =
      Batch({"--manifest", manifest, "--output-dir", folder / "b", "--batch", "1"}, terminal);
  CHECK(shown.err.find("dialogues") != std::string::npos);
  const RunResult help = BatchCommand({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.out.find("Examples:") != std::string::npos);
  CHECK(help.out.find("130") != std::string::npos);
}

}  // namespace
}  // namespace ppx::test
