// Scores through the program: the benchmark's own cases laid out as its folders, and what must not
// change a number.
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "e2e/eval.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

Json GoldenCases(const std::string& name) {
  return ReadJson(PPX_SOURCE_DIR "/tests/golden/metrics/" + name);
}

Json Transcript(const Json& golden) { return {{"text", ""}, {"chunks", golden.at("chunks")}}; }

void CheckValue(const Json& ours, const Json& wanted) {
  CAPTURE(ours.dump());
  CAPTURE(wanted.dump());
  REQUIRE(ours.at("value").is_null() == wanted.is_null());
  if (wanted.is_null()) return;
  CHECK(std::abs(ours.at("value").get<double>() - wanted.get<double>()) <= 1e-9);
  CHECK(ours.at("status") == "ok");
}

// A suite root with every golden case whose words can be scored from files.
void WriteGoldenSuite(const Folder& root) {
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  const auto write = [&](const std::string& task, const std::string& cases, auto files) {
    int id = 0;
    for (const Json& golden : GoldenCases(cases)) {
      WriteSample(root / (task + "/" + std::to_string(id++)), channel, files(golden));
    }
  };
  write("candor_pause_handling", "pause_handling.json", [](const Json& c) {
    return std::vector<JsonFile>{{"output.json", Transcript(c)}};
  });
  write("candor_turn_taking", "smooth_turn_taking.json", [](const Json& c) {
    return std::vector<JsonFile>{{"output.json", Transcript(c)},
                                 {"turn_taking.json", c.at("turn_taking")}};
  });
  write("synthetic_user_interruption", "user_interruption.json", [](const Json& c) {
    std::vector<JsonFile> files{{"output.json", Transcript(c)},
                                {"interrupt.json", c.at("interrupt")}};
    if (c.contains("judge_rating") && !c.at("judge_rating").is_null()) {
      files.push_back({"rating.json", {{"analysis", ""}, {"rating", c.at("judge_rating")}}});
    }
    return files;
  });
}

TEST_CASE("the benchmark's own values, through files") {
  const Folder root;
  WriteGoldenSuite(root);
  const RunResult run = Eval(Score(root.path()) + Arguments{"-q", "-o", root / "r.json"});
  INFO(run.err);
  // Of the pause cases some lack an inner time; the benchmark's script fails on these.
  CHECK((run.exit_code == 0 || run.exit_code == 1));
  const Json results = ReadJson(root / "r.json");
  const auto check = [&](const std::string& task, const std::string& cases, const char* field,
                         const char* metric, const char* scorer) {
    int id = 0;
    double sum = 0;
    int n = 0;
    for (const Json& golden : GoldenCases(cases)) {
      CAPTURE(task);
      CAPTURE(id);
      const Json ours = SampleValue(results, task, std::to_string(id++), scorer, metric);
      CheckValue(ours, golden.at(field));
      if (golden.at(field).is_null()) continue;
      sum += golden.at(field).get<double>();
      ++n;
    }
    const Json total = MetricOf(results, task, scorer, metric);
    CHECK(total.at("n") == n);
    CHECK(std::abs(total.at("value").get<double>() - sum / n) <= 1e-9);
  };
  check("candor_turn_taking", "smooth_turn_taking.json", "tor", "takeover_rate", "fdb-exact");
  check("candor_turn_taking", "smooth_turn_taking.json", "latency", "response_latency_s",
        "fdb-exact");
  check("synthetic_user_interruption", "user_interruption.json", "tor", "takeover_rate",
        "fdb-exact");
  check("synthetic_user_interruption", "user_interruption.json", "latency", "response_latency_s",
        "fdb-exact");
  check("synthetic_user_interruption", "user_interruption.json", "rating", "judge_rating", "judge");
  int id = 0;
  for (const Json& golden : GoldenCases("pause_handling.json")) {
    CheckValue(SampleValue(results, "candor_pause_handling", std::to_string(id++), "fdb-exact",
                           "takeover_rate"),
               golden.at("tor"));
  }
}

TEST_CASE("threads, the cache, the locale and where the folder lies change no byte") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  for (int id = 0; id < 12; ++id) {
    WriteSample(root / ("candor_turn_taking/" + std::to_string(id)), channel,
                {{"output.json", Words({{"a", 3.0 + id * 0.1, 3.4 + id * 0.1}, {"b", 5, 6}})},
                 {"turn_taking.json", {{{"timestamp", {2.9, 3.0}}}}}});
  }
  const auto bytes = [&](const Arguments& more, const RunOptions& options = {}) {
    const RunResult run = Eval(
        Arguments{"score", root.path(), "--suite", "fdb-v1.0", "--vad", "energy", "--json"} + more,
        options);
    INFO(run.err);
    CHECK(run.exit_code == 0);
    return run.out;
  };
  const std::string once = bytes({"--no-cache", "--threads", "1"});
  CHECK(once == bytes({"--no-cache", "--threads", "4"}));
  CHECK(once == bytes({"--cache", root / ".cache"}));
  CHECK(once == bytes({"--cache", root / ".cache"}));
  RunOptions german;
  german.environment["LC_ALL"] = "de_DE.UTF-8";
  CHECK(once == bytes({"--no-cache"}, german));
  CHECK(once != bytes({"--no-cache", "--seed", "2"}));
  // A damaged cache entry is measured anew.
  for (const auto& entry : fs::recursive_directory_iterator(root / ".cache")) {
    if (entry.is_regular_file()) WriteBytes(entry.path().string(), "{\"rate_hz\": ");
  }
  CHECK(once == bytes({"--cache", root / ".cache"}));
}

TEST_CASE("an interruption's transcript by ppx-offline or ppx-batch is cut to what follows it") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  const Json words = Words({{"talk", 1, 5}, {"on", 5, 6}, {"yes", 9.5, 10}, {"sure", 10, 11.5}});
  const Json marks = {{{"context", "c"}, {"interrupt", "i"}, {"timestamp", {5.0, 9.0}}}};
  const std::string task = root / "synthetic_user_interruption/";
  WriteSample(task + "benchmark", channel, {{"output.json", words}, {"interrupt.json", marks}});
  for (const char* program : {"ppx-offline", "ppx-batch", "other"}) {
    WriteSample(task + program, channel,
                {{"output.json", words},
                 {"interrupt.json", marks},
                 {"run.json", {{"program", program}, {"options", {{"lead-in", 1.0}}}}}});
  }
  const RunResult run = Eval(Score(root.path()) + Arguments{"--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json results = Json::parse(run.out);
  const auto latency = [&](const char* id) {
    return SampleValue(results, "synthetic_user_interruption", id, "fdb-exact",
                       "response_latency_s")
        .at("value");
  };
  // Their first words are before the end: negative, counted as 0.
  CHECK(latency("benchmark") == 0.0);
  CHECK(latency("other") == 0.0);
  CHECK(std::abs(latency("ppx-offline").get<double>() - 0.5) < 1e-9);
  CHECK(std::abs(latency("ppx-batch").get<double>() - 0.5) < 1e-9);
  CHECK(results.at("context").at("lead_in_s") == 1.0);
  CHECK(results.at("context").at("transcripts").at("by") == "mixed");
}

TEST_CASE("channels of a stereo file, tables, CSV and Markdown") {
  const Folder folder;
  std::vector<float> silence(8000 * 10, 0.0F);
  std::vector<float> left = silence;
  std::vector<float> right = silence;
  const auto noise = Noise(left.size());
  std::copy_n(noise.begin(), 16000, left.begin() + 8000);    // 1 to 3 s
  std::copy_n(noise.begin(), 16000, right.begin() + 28000);  // 3.5 to 5.5 s
  fs::create_directories(folder / "root/one");
  WriteSound(folder / "root/one/both.wav", {left, right}, 8000, SF_FORMAT_WAV | SF_FORMAT_PCM_16);
  WriteBytes(folder / "two.yaml",
             "id: two\nversion: 1\nlayout: sample_folders\ntasks:\n  calls:\n    kind: channels\n"
             "    files: {user: both.wav, user_channel: 0, agent: both.wav, agent_channel: 1}\n"
             "    metrics: {floor_transfer_offset_s: none, response_rate: higher}\n");
  const RunResult run = Eval({"score", folder / "root", "--suite", folder / "two.yaml", "--vad",
                              "energy", "--no-cache", "-o", folder / "r.json", "--csv",
                              folder / "r.csv", "--markdown", folder / "r.md"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json results = ReadJson(folder / "r.json");
  const double offset_s =
      SampleValue(results, "calls", "one", "channel", "floor_transfer_offset_s").at("value");
  CHECK(std::abs(offset_s - 0.5) < 0.15);  // the gate's bias at either end
  CHECK(MetricOf(results, "calls", "channel", "response_rate").at("value") == 1.0);
  CHECK(MetricOf(results, "calls", "channel", "floor_transfer_offset_s_pooled").at("n") == 1);
  CHECK(run.out.find("floor_transfer_offset_s") != std::string::npos);
  // One offset here, two there: the area between the distributions is the mean distance.
  WriteBytes(folder / "offsets.json", "[1.5, 2.5]");
  const RunResult distance =
      Eval({"score", folder / "root", "--suite", folder / "two.yaml", "--vad", "energy",
            "--no-cache", "--reference-offsets", folder / "offsets.json", "--json"});
  INFO(distance.err);
  REQUIRE(distance.exit_code == 0);
  CHECK(MetricOf(Json::parse(distance.out), "calls", "channel", "floor_transfer_wasserstein_s")
            .at("value")
            .get<double>() == doctest::Approx(2.0 - offset_s));
  WriteBytes(folder / "offsets.json", "[]");
  CHECK(Eval({"score", folder / "root", "--suite", folder / "two.yaml", "--vad", "energy",
              "--no-cache", "--reference-offsets", folder / "offsets.json"})
            .exit_code == 3);
  CHECK(ReadBytes(folder / "r.csv").rfind("task,id,folder", 0) == 0);
  CHECK(ReadBytes(folder / "r.md").find("| --- |") != std::string::npos);

  const RunResult stats = Eval({"stats", folder / "root/one/both.wav", folder / "root/one/both.wav",
                                "--agent-channel", "1", "--vad", "energy", "--no-cache", "--json"});
  INFO(stats.err);
  REQUIRE(stats.exit_code == 0);
  CHECK(Json::parse(stats.out).at("values").at("response_rate").at("value") == 1.0);
}

TEST_CASE("transcripts from a program") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  WriteSample(root / "candor_pause_handling/1", channel, {});
  WriteBytes(
      root / "my asr.sh",
      "#!/bin/sh\n[ -f \"$1\" ] || exit 3\n"
      "echo '{\"text\": \"a b\", \"chunks\": [{\"text\": \"a\", \"timestamp\": [1, 2.5]}]}'\n");
  fs::permissions(root / "my asr.sh", fs::perms::owner_all);
  const Arguments asr{"--asr", "'" + (root / "my asr.sh") + "' {wav}"};
  const RunResult run = Eval(Score(root.path()) + asr + Arguments{"--json"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json results = Json::parse(run.out);
  CHECK(MetricOf(results, "candor_pause_handling", "fdb-exact", "takeover_rate").at("value") ==
        1.0);
  CHECK(results.at("context").at("transcripts").at("source") == "asr");
  CHECK(results.at("context").at("transcripts").at("name") == "my asr.sh");
  CHECK(Eval(Score(root.path()) + Arguments{"--asr", "/no/such/program {wav}"}).exit_code == 2);
  // On request it stays, in the benchmark's layout, and what is there is never replaced.
  const std::string left = root / "candor_pause_handling/1/output.json";
  CHECK_FALSE(fs::exists(left));
  CHECK(Eval(Score(root.path()) + asr + Arguments{"-q", "--write-transcripts"}).exit_code == 0);
  CHECK(ReadJson(left).at("chunks")[0].at("timestamp")[1] == 2.5);
  WriteBytes(left, Words({{"b", 1.0, 1.2}}).dump());
  CHECK(Eval(Score(root.path()) + asr + Arguments{"-q", "--write-transcripts"}).exit_code == 0);
  CHECK(ReadJson(left).at("chunks")[0].at("text") == "b");
  CHECK(Eval(Score(root.path()) + Arguments{"--write-transcripts"}).exit_code == 2);
  // Without transcripts the speech events are scored all the same.
  const RunResult none = Eval(Score(root.path()) + Arguments{"--transcripts", "none", "--json"});
  CHECK(none.exit_code == 0);
  const Json events = Json::parse(none.out);
  CHECK_NOTHROW(MetricOf(events, "candor_pause_handling", "event", "takeover_rate"));
  CHECK_THROWS(MetricOf(events, "candor_pause_handling", "fdb-exact", "takeover_rate"));
}

TEST_CASE("speech of a recording, by either detector") {
  const std::string wav = PPX_SOURCE_DIR "/tests/golden/vad/wav/long_turn.wav";
  const Json expected =
      ReadJson(PPX_SOURCE_DIR "/tests/golden/vad/expected.json").at("long_turn.wav");
  const RunResult run = Eval({"vad", wav, "--vad-model", PPX_SILERO_VAD, "--probabilities"});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const Json found = Json::parse(run.out);
  REQUIRE(found.at("probabilities").size() == expected.at("probs").size());
  for (size_t i = 0; i < expected.at("probs").size(); ++i) {
    CHECK(std::abs(found.at("probabilities")[i].get<double>() -
                   expected.at("probs")[i].get<double>()) <= 1e-3);
  }
  REQUIRE(found.at("segments").size() == expected.at("segments_samples").size());
  for (size_t i = 0; i < found.at("segments").size(); ++i) {
    const Json& wanted = expected.at("segments_samples")[i];
    CHECK(found.at("segments")[i][0].get<double>() * 16000 ==
          doctest::Approx(wanted.at("start").get<double>()));
    CHECK(found.at("segments")[i][1].get<double>() * 16000 ==
          doctest::Approx(wanted.at("end").get<double>()));
  }
  CHECK(Eval({"vad", wav, "--vad", "energy"}).out.find("\n") != std::string::npos);
  CHECK(Eval({"vad", wav, "--vad", "energy", "--probabilities"}).exit_code == 2);
  CHECK(Eval({"vad", "/nowhere.wav", "--vad", "energy"}).exit_code == 3);
  CHECK(Eval({"vad", wav, "--vad-model", "/nowhere.jit"}).exit_code == 3);
}

TEST_CASE("the self-test hears every stretch of speech") {
  const RunResult run = Eval({"selftest", "--energy-only", "--json"});
  INFO(run.err);
  CHECK(run.exit_code == 0);
  const Json detector = Json::parse(run.out).at(0);
  CHECK(detector.at("found") == detector.at("segments"));
  CHECK(std::abs(detector.at("onset_s").at("bias").get<double>()) < 0.06);
  CHECK(detector.at("onset_s").at("sd").get<double>() < 0.03);
}

TEST_CASE("help with examples for every command") {
  for (const char* command : {"score", "compare", "gate", "stats", "vad", "selftest"}) {
    const RunResult help = Eval({command, "--help"});
    CHECK(help.exit_code == 0);
    CHECK(help.err.empty());
  }
  const RunResult help = Eval({"--help"});
  CHECK(help.out.find("Examples") != std::string::npos);
  CHECK(help.out.find("Exit codes") != std::string::npos);
  CHECK(Eval({}).exit_code == 2);
  CHECK(Eval({"scores"}).exit_code == 2);
  CHECK(Eval({"score", "/nowhere", "--suite", "fdb-v1.0"}).exit_code == 3);
  CHECK(Eval({"score", "/tmp", "--suite", "no-such-suite"}).exit_code == 3);
}

}  // namespace
}  // namespace ppx::test
