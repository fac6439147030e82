// A broken sample is one row with a reason; the rest are scored; the exit code says so.
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>

#include "e2e/eval.h"
#include "support/doctest.h"
#include "weights/safetensors.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const Json kWords = Words({{"well", 4.0, 4.5}, {"yes", 4.5, 6.0}});
const Json kMarks = {{{"text", "[TURN-TAKING]"}, {"timestamp", {3.0, 3.5}}}};

struct Case {
  const char* name;
  const char* reason;  // part of it
  std::function<void(const std::string& sample)> damage;
};

void Replace(const std::string& path, const std::string& bytes) {
  fs::remove(path);
  WriteBytes(path, bytes);
}

void ReplaceSound(const std::string& path, const std::vector<float>& samples, int rate_hz) {
  fs::remove(path);
  WriteSound(path, {samples}, rate_hz, SF_FORMAT_WAV | SF_FORMAT_FLOAT);
}

std::string OneWord(const char* times) {
  return std::string(R"({"text": "a", "chunks": [{"text": "a", "timestamp": )") + times + "}]}";
}

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases{
      {"no_words", "no transcript", [](auto& s) { fs::remove(s + "/output.json"); }},
      {"no_agent", "output.wav", [](auto& s) { fs::remove(s + "/output.wav"); }},
      {"no_user", "input.wav", [](auto& s) { fs::remove(s + "/input.wav"); }},
      {"no_marks", "turn_taking.json", [](auto& s) { fs::remove(s + "/turn_taking.json"); }},
      {"bad_json", "output.json", [](auto& s) { Replace(s + "/output.json", "{\"text\": "); }},
      {"nan_json", "output.json",
       [](auto& s) { Replace(s + "/output.json", OneWord("[NaN, 1.0]")); }},
      {"text_time", "chunk 1", [](auto& s) { Replace(s + "/output.json", OneWord("[\"a\", 1]")); }},
      {"null_start", "chunk 1", [](auto& s) { Replace(s + "/output.json", OneWord("[null, 1]")); }},
      {"reversed", "chunk 1", [](auto& s) { Replace(s + "/output.json", OneWord("[2.0, 1.0]")); }},
      {"negative", "chunk 1", [](auto& s) { Replace(s + "/output.json", OneWord("[-2.0, 1.0]")); }},
      {"inner_null", "no end",
       [](auto& s) {
         Replace(s + "/output.json", Words({{"a", 1, {}}, {"b", 2, 3}}).dump());
       }},
      {"marks_null", "turn_taking.json",
       [](auto& s) { Replace(s + "/turn_taking.json", R"([{"timestamp": [null, 1]}])"); }},
      {"marks_reversed", "reversed",
       [](auto& s) { Replace(s + "/turn_taking.json", R"([{"timestamp": [4, 3]}])"); }},
      {"marks_empty", "no event", [](auto& s) { Replace(s + "/turn_taking.json", "[]"); }},
      {"marks_beyond", "beyond the end",
       [](auto& s) { Replace(s + "/turn_taking.json", R"([{"timestamp": [31, 32]}])"); }},
      {"nan_audio", "output.wav",
       [](auto& s) {
         std::vector<float> samples(8000 * 30, 0.1F);
         samples[777] = std::numeric_limits<float>::quiet_NaN();
         ReplaceSound(s + "/output.wav", samples, 8000);
       }},
      {"empty_audio", "output.wav", [](auto& s) { ReplaceSound(s + "/output.wav", {}, 8000); }},
      {"text_audio", "output.wav", [](auto& s) { Replace(s + "/output.wav", "no sound"); }},
      {"zero_bytes", "output.wav", [](auto& s) { Replace(s + "/output.wav", ""); }},
      {"bad_trace", "no trace of ppx-offline",
       [](auto& s) { weights::WriteSafetensors(s + "/trace.safetensors", {}); }},
      {"wrong_rate", "are the samples at 24000 Hz", [](auto& s) {
         ReplaceSound(s + "/output.wav", std::vector<float>(24000 * 30, 0.1F), 16000);
       }}};
  return cases;
}

TEST_CASE("every kind of broken sample") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel);
  const std::string task = root / "candor_turn_taking/";
  const std::vector<JsonFile> files{{"output.json", kWords}, {"turn_taking.json", kMarks}};
  for (const char* id : {"1", "2"}) WriteSample(task + id, channel, files);
  for (const Case& c : Cases()) {
    WriteSample(task + c.name, channel, files);
    c.damage(task + c.name);
  }
  const RunResult run = Eval(Score(root.path()) + Arguments{"-o", root / "r.json"});
  INFO(run.err);
  CHECK(run.exit_code == 1);
  CHECK(run.err.find(std::to_string(Cases().size()) + " of " +
                     std::to_string(Cases().size() + 2)) != std::string::npos);
  CHECK(run.out.find("Not scored") != std::string::npos);
  const Json results = ReadJson(root / "r.json");
  CHECK(results.at("samples").size() == Cases().size() + 2);
  const Json metric = MetricOf(results, "candor_turn_taking", "fdb-exact", "response_latency_s");
  CHECK(metric.at("n") == 2);
  CHECK(metric.at("n_unscored") == Cases().size());
  CHECK(metric.at("statuses").at("broken") == Cases().size());
  CHECK(metric.at("value") == 1.0);
  for (const Case& c : Cases()) {
    CAPTURE(c.name);
    for (const Json& sample : results.at("samples")) {
      if (sample.at("id") != c.name) continue;
      const std::string reason = sample.at("reason");
      CAPTURE(reason);
      CHECK(sample.at("scored") == false);
      CHECK(sample.at("values").empty());
      CHECK(reason.find(c.reason) != std::string::npos);
      CHECK(reason.find(c.name) != std::string::npos);  // the path
      CHECK(reason.find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("nulls that the backchannel rule passes over are no damage") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel, 1, 1.5);
  WriteSample(root / "icc_backchannel/0", channel,
              {{"output.json", Words({{"mm", {}, 1.4}, {"hm", 1.1, {}}, {"yes", 1.2, 1.4}})}});
  const RunResult run = Eval(Score(root.path()) + Arguments{"--json"});
  INFO(run.err);
  CHECK(run.exit_code == 0);
  const Json results = Json::parse(run.out);
  CHECK(MetricOf(results, "icc_backchannel", "fdb-fixed", "takeover_rate").at("value") == 0.0);
  CHECK(MetricOf(results, "icc_backchannel", "fdb-fixed", "backchannel_jsd")
            .at("statuses")
            .at("no_ground_truth") == 1);
}

TEST_CASE("degenerate output is flagged") {
  const Folder root;
  const std::string channel = root / ".channel.wav";
  WriteChannel(channel, 1, 6);
  const std::string task = root / "candor_pause_handling/";
  for (const char* id : {"noise", "silent", "clipped", "stuck", "tokens"}) {
    WriteSample(task + id, channel, {{"output.json", kWords}});
  }
  ReplaceSound(task + "silent/output.wav", std::vector<float>(8000 * 30, 0.0F), 8000);
  ReplaceSound(task + "clipped/output.wav", std::vector<float>(8000 * 30, 1.0F), 8000);
  std::vector<float> stuck(8000 * 30);
  for (size_t i = 0; i < stuck.size(); ++i) {
    stuck[i] = 0.2F * static_cast<float>(std::sin(static_cast<double>(i % 640) * 0.05));
  }
  ReplaceSound(task + "stuck/output.wav", stuck, 8000);
  const std::vector<int32_t> tokens(17 * 100, 7);
  weights::WriteSafetensors(
      task + "tokens/trace.safetensors",
      {{"tokens", weights::DType::kI32, {100, 17}, std::as_bytes(std::span(tokens))}});
  const RunResult run = Eval(Score(root.path()) + Arguments{"--json"});
  INFO(run.err);
  CHECK(run.exit_code == 0);
  const auto has = [&](const char* id, const char* flag) {
    const Json results = Json::parse(run.out);
    for (const Json& sample : results.at("samples")) {
      if (sample.at("id") != id) continue;
      const Json& flags = sample.at("flags");
      return std::find(flags.begin(), flags.end(), flag) != flags.end();
    }
    return false;
  };
  CHECK(has("noise", "noise_like"));
  CHECK(has("silent", "no_speech"));
  CHECK(has("silent", "words_without_speech"));
  CHECK(has("clipped", "clipped"));
  CHECK(has("stuck", "repeated_frame"));
  CHECK(has("tokens", "low_entropy"));
  CHECK(has("tokens", "repeated_frame"));
  CHECK_FALSE(has("noise", "low_entropy"));
  CHECK_FALSE(has("noise", "repeated_frame"));
  CHECK_FALSE(has("noise", "no_speech"));
}

}  // namespace
}  // namespace ppx::test
