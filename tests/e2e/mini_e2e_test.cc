// The bundled model that converses, through all three programs: what a newcomer sees, and the gate
// on its behaviour towards callers that it has never heard.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "e2e/batch.h"
#include "e2e/eval.h"
#include "e2e/offline.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const std::string kCall = PPX_SOURCE_DIR "/eval/calls/bank.wav";
const std::string kRegression = PPX_SOURCE_DIR "/tests/regression";
// When the caller has finished the first sentence, by Silero's detector.
constexpr double kFirstEnd_s = 2.85;

std::string Said(const std::string& words_path) {
  return ReadJson(words_path).at("text").get<std::string>();
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Root mean square of a stretch of a recording at 24 kHz.
double Level(const std::vector<float>& samples, double start_s, double end_s) {
  constexpr double kRateHz = 24000;
  const auto begin = static_cast<size_t>(start_s * kRateHz);
  const auto end = std::min(samples.size(), static_cast<size_t>(end_s * kRateHz));
  REQUIRE(begin < end);
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += double{samples[i]} * samples[i];
  return std::sqrt(sum / static_cast<double>(end - begin));
}

// Fundamental frequency of the loudest tenth of a second, by autocorrelation.
double PitchHz(const std::vector<float>& samples) {
  constexpr int kRateHz = 24000;
  constexpr size_t kWindow = kRateHz / 10;
  size_t loudest = 0;
  double most = -1;
  for (size_t at = 0; at + 2 * kWindow < samples.size(); at += kWindow / 2) {
    double energy = 0;
    for (size_t i = at; i < at + kWindow; ++i) energy += double{samples[i]} * samples[i];
    if (energy > most) {
      most = energy;
      loudest = at;
    }
  }
  double best = -1;
  int best_lag = 1;
  for (int lag = kRateHz / 300; lag < kRateHz / 70; ++lag) {
    double sum = 0;
    for (size_t i = loudest; i < loudest + kWindow; ++i) {
      sum += double{samples[i]} * samples[i + static_cast<size_t>(lag)];
    }
    if (sum > best) {
      best = sum;
      best_lag = lag;
    }
  }
  return double{kRateHz} / best_lag;
}

TEST_CASE("without a model named the bundled one speaks, and a warning says so") {
  const Folder folder, home;
  RunOptions options;
  options.environment["HF_HOME"] = home.path();
  const RunResult run = Offline(
      {"--persona", "mini-bank", "--input-wav", kCall, "--output-dir", folder / "out"}, options);
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(Has(run.err, "the bundled 'mini'"));
  CHECK(Has(run.err, "scripts/fetch-model"));
  const Json record = ReadJson(folder / "out/run.json");
  CHECK(Has(record.at("model"), "configs/mini"));
  CHECK(Has(record.at("warnings").dump(), "the bundled 'mini'"));

  // It listens, answers, and does not talk for ever.
  const std::vector<float> agent = ReadSamples(folder / "out/output.wav");
  const double listening = Level(agent, 0.5, kFirstEnd_s);
  const double answering = Level(agent, kFirstEnd_s + 1, kFirstEnd_s + 5);
  CHECK(answering > 0.01);
  CHECK(listening < 0.05 * answering);
  CHECK(Said(folder / "out/output.json").size() > 40);
}

TEST_CASE("named, it comes without a warning; text and voice prompt change what is heard") {
  const Folder folder;
  const auto render = [&](const std::string& persona, const std::string& voice) {
    const std::string out = folder / (persona + "-" + voice);
    const RunResult run = Offline({"--model", "mini", "--persona", persona, "--voice-prompt", voice,
                                   "--greedy", "--input-wav", kCall, "--output-dir", out});
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    CHECK_FALSE(Has(run.err, "warning"));
    return out;
  };
  const std::string bank = render("mini-bank", "MINIF0");
  const std::string clinic = render("mini-clinic", "MINIF0");
  CHECK(Has(Said(bank + "/output.json"), "calling Harbor Bank. My name is Anna."));
  CHECK(Has(Said(clinic + "/output.json"), "calling Sunrise Clinic. My name is Peter."));

  const std::string low = render("mini-bank", "MINIM0");
  const double high_hz = PitchHz(ReadSamples(bank + "/output.wav"));
  const double low_hz = PitchHz(ReadSamples(low + "/output.wav"));
  CAPTURE(high_hz);
  CAPTURE(low_hz);
  CHECK(low_hz < 0.85 * high_hz);
}

TEST_CASE("a voice that it does not have is refused with those that it has") {
  const Folder folder;
  const RunResult run = Offline({"--model", "mini", "--voice-prompt", "NATF2.pt", "--input-wav",
                                 kCall, "--output-dir", folder / "out"});
  CHECK(run.exit_code == 3);
  CHECK(Has(run.err, "NATF2.pt"));
  CHECK(Has(run.err, "MINIF0"));
  CHECK(Has(run.err, "MINIM0"));

  // Where it only stands in, that comes first.
  const Folder home;
  RunOptions options;
  options.environment["HF_HOME"] = home.path();
  const RunResult stand_in =
      Offline({"--voice-prompt", "NATF2.pt", "--input-wav", kCall, "--output-dir", folder / "out"},
              options);
  CHECK(stand_in.exit_code == 3);
  CHECK(Has(stand_in.err, "the bundled 'mini'"));
  CHECK(Has(stand_in.err, "NATF2.pt"));

  // A released model that was begun to be downloaded is asked for, and not replaced.
  fs::create_directories(home / "hub/models--nvidia--personaplex-7b-v1");
  const RunResult begun = Offline({"--input-wav", kCall, "--output-dir", folder / "out"}, options);
  CHECK(begun.exit_code == 3);
  CHECK(Has(begun.err, "scripts/fetch-model"));
  CHECK_FALSE(Has(begun.err, "the bundled 'mini'"));
}

// ---- the gate -----------------------------------------------------------------

// The committed callers with the agent's answers, rendered once for all cases.
const std::string& Rendered() {
  static const Folder folder;
  static const std::string path = [] {
    fs::copy(kRegression + "/suite", folder.path(), fs::copy_options::recursive);
    RunOptions options;
    options.timeout_s = 1200;
    const RunResult run = BatchCommand(
        {"--model", "mini", "--devices", "cpu", "--manifest", folder / "manifest.jsonl",
         "--no-links", "--quiet", "--output-dir", folder.path()},
        options);
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    return folder.path();
  }();
  return path;
}

RunResult Scored(const std::string& root, const std::string& results) {
  return Eval({"score", root, "--suite", "mini", "--vad-model", PPX_SILERO_VAD, "--cache",
               SharedCache(), "--resamples", "500", "--quiet", "--output", results});
}

RunResult Gated(const std::string& results) {
  return Eval({"gate", results, "--gates", "mini", "--baseline", kRegression + "/baseline.json"});
}

TEST_CASE("its behaviour passes the gate of its committed baseline") {
  const Folder folder;
  const RunResult scored = Scored(Rendered(), folder / "results.json");
  INFO(Told(scored));
  REQUIRE(scored.exit_code == 0);
  const RunResult gate = Gated(folder / "results.json");
  INFO(gate.out);
  INFO(gate.err);
  CHECK(gate.exit_code == 0);
}

TEST_CASE("an agent that says nothing, or talks all the time, does not pass it") {
  for (const bool talks : {false, true}) {
    CAPTURE(talks);
    const Folder folder;
    fs::copy(Rendered(), folder / "suite", fs::copy_options::recursive);
    const std::vector<float> speech = ReadSamples(folder / "suite/turn_taking/1/output.wav");
    for (const auto& entry : fs::recursive_directory_iterator(folder / "suite")) {
      if (entry.path().filename() != "output.wav") continue;
      std::vector<float> samples = ReadSamples(entry.path());
      // From the middle of that sample on, where its agent speaks.
      const size_t begin = speech.size() / 2;
      for (size_t i = 0; i < samples.size(); ++i) {
        samples[i] = talks ? speech[begin + i % (speech.size() / 4)] : 0.0F;
      }
      WriteRecording(entry.path(), samples);
    }
    const RunResult scored = Scored(folder / "suite", folder / "results.json");
    INFO(Told(scored));
    REQUIRE(scored.exit_code == 0);
    const RunResult gate = Gated(folder / "results.json");
    INFO(gate.out);
    CHECK(gate.exit_code == 1);
  }
}

}  // namespace
}  // namespace ppx::test
