// The same run gives the same bytes.
#include <filesystem>

#include "e2e/offline.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

// Everything that does not hold times or paths.
const char* const kFiles[] = {"o.wav", "o.json", "w.json",     "s.wav",        "o.srt",
                              "o.vtt", "o.ctm",  "o.TextGrid", "t.safetensors"};

Arguments AllOutputs(const Folder& folder) {
  return {"--output-wav",    folder / "o.wav",    "--output-text",     folder / "o.json",
          "--output-words",  folder / "w.json",   "--output-stereo",   folder / "s.wav",
          "--output-srt",    folder / "o.srt",    "--output-vtt",      folder / "o.vtt",
          "--output-ctm",    folder / "o.ctm",    "--output-textgrid", folder / "o.TextGrid",
          "--output-record", folder / "run.json", "--trace",           folder / "t.safetensors"};
}

void MustRun(const Arguments& arguments) {
  const RunResult run = Offline(arguments + Arguments{"--quiet"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
}

void CheckSameFiles(const Folder& a, const Folder& b) {
  for (const char* file : kFiles) {
    CAPTURE(file);
    CHECK(ReadBytes(a / file) == ReadBytes(b / file));
  }
}

TEST_CASE("a run can be repeated") {
  const Folder inputs, first, again, one_thread, two_threads, other_seed, from_record;
  WriteRecording(inputs / "in.wav", Noise(30000));
  const Arguments run =
      Tiny(inputs / "in.wav") +
      Arguments{"--voice-prompt", GoldenFile("voice.wav"),
                "--text-prompt",  "You are \"Mina\": kind,\nbrief & 100 % polite.",
                "--temp-audio",   "0.9",
                "--topk-text",    "7",
                "--tail",         "0.5",
                "--trace-values", "lm.text_logits,mimi.latent"};
  const Arguments seed{"--seed", "5"};
  MustRun(run + seed + AllOutputs(first));
  SUBCASE("same seed") {
    MustRun(run + seed + AllOutputs(again));
    CheckSameFiles(first, again);
  }
  SUBCASE("any number of threads") {
    MustRun(run + seed + AllOutputs(one_thread) + Arguments{"--threads", "1"});
    MustRun(run + seed + AllOutputs(two_threads) + Arguments{"--threads", "2"});
    CheckSameFiles(one_thread, two_threads);
    CheckSameFiles(first, one_thread);
  }
  SUBCASE("another seed") {
    MustRun(run + AllOutputs(other_seed) + Arguments{"--seed", "6"});
    CHECK(ReadBytes(first / "o.wav") != ReadBytes(other_seed / "o.wav"));
    CHECK(ReadBytes(first / "o.json") != ReadBytes(other_seed / "o.json"));
  }
  SUBCASE("from its record, to other files") {
    MustRun(Arguments{"--config", first / "run.json"} + AllOutputs(from_record));
    CheckSameFiles(first, from_record);
    // The second record says the same of the run but for the paths.
    auto options = ReadJson(first / "run.json").at("options");
    auto repeated = ReadJson(from_record / "run.json").at("options");
    CHECK(options.at("seed") == 5);
    for (auto* json : {&options, &repeated}) {
      for (const std::string file :
           {"wav", "text", "words", "stereo", "srt", "vtt", "ctm", "textgrid", "record"}) {
        CHECK(json->erase("output-" + file) == 1);
      }
      CHECK(json->erase("trace") == 1);
    }
    CHECK(options == repeated);
  }
}

TEST_CASE("a seed that was drawn is in the record") {
  const Folder inputs, first, second, drawn;
  WriteRecording(inputs / "in.wav", Noise(20000));
  MustRun(Tiny(inputs / "in.wav") + Arguments{"--seed", "-1"} + AllOutputs(first));
  CHECK(ReadJson(first / "run.json").at("options").at("seed").get<int64_t>() >= 0);
  MustRun(Arguments{"--config", first / "run.json"} + AllOutputs(second));
  CheckSameFiles(first, second);
  MustRun(Tiny(inputs / "in.wav") + Arguments{"--seed", "-1"} + AllOutputs(drawn));
  CHECK(ReadBytes(first / "o.wav") != ReadBytes(drawn / "o.wav"));
}

TEST_CASE("quantised weights are made once, and the record says what they cost") {
  for (const char* form : {"int8", "int4"}) {
    CAPTURE(form);
    const Folder inputs, first, again, plain;
    WriteRecording(inputs / "in.wav", Noise(20000));
    const auto run = [&](const Folder& outputs, const Arguments& more) {
      RunOptions options;
      options.environment = {{"PPX_CACHE", inputs / "cache"}};
      const RunResult result = Offline(
          Tiny(inputs / "in.wav") + AllOutputs(outputs) + more + Arguments{"--quiet"}, options);
      INFO(Told(result));
      REQUIRE(result.exit_code == 0);
      return ReadJson(outputs / "run.json");
    };
    const auto record = run(first, {"--quantize", form});
    CHECK(record.at("options").at("quantize") == form);
    const auto& damage = record.at("quantisation");
    CHECK(damage.at("text_logit_cosine") > 0.9);
    CHECK(damage.at("audio_logit_cosine") < 1);
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(inputs / "cache/quantised")) {
      ++files;
      CHECK(entry.path().filename().string().find(form) != std::string::npos);
    }
    CHECK(files == 1);
    CHECK(run(again, {"--quantize", form}).at("quantisation") == damage);
    CheckSameFiles(first, again);
    CHECK_FALSE(run(plain, {}).contains("quantisation"));
    CHECK(ReadBytes(first / "o.wav") != ReadBytes(plain / "o.wav"));
  }
}

TEST_CASE("a run configuration in YAML, below the command line") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(4000));
  WriteBytes(folder / "run.yaml", "input-wav: " + folder / "in.wav" + "\nmodel: " + TinyFolder() +
                                      "\nseed: 12\ngreedy: true\ntopk-audio: 9\n");
  const Arguments from_file{"--config", folder / "run.yaml", "--output-wav", folder / "o.wav"};
  MustRun(from_file + Arguments{"--output-record", folder / "run.json", "--seed", "13"});
  const auto options = ReadJson(folder / "run.json").at("options");
  CHECK(options.at("seed") == 13);
  CHECK(options.at("greedy") == true);
  CHECK(options.at("topk-audio") == 9);
}

TEST_CASE("a saved voice is the recording it was made from") {
  const Folder inputs, first, second;
  WriteRecording(inputs / "in.wav", Noise(20000));
  MustRun(Tiny(inputs / "in.wav") +
          Arguments{"--voice-prompt", GoldenFile("voice.wav"), "--save-voice",
                    inputs / "voice.safetensors"} +
          AllOutputs(first));
  MustRun(Tiny(inputs / "in.wav") +
          Arguments{"--voice-prompt-dir", inputs.path(), "--voice-prompt", "voice"} +
          AllOutputs(second));
  CHECK(ReadBytes(first / "o.wav") == ReadBytes(second / "o.wav"));
  CHECK(ReadBytes(first / "o.json") == ReadBytes(second / "o.json"));
}

}  // namespace
}  // namespace ppx::test
