// Silero's detector against its own package: tests/golden/vad.
#include "torchscript/silero_vad.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "annotate/segments.h"
#include "audio/wav_reader.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "torchscript/threads.h"

namespace ppx::torchscript {
namespace {

using Json = nlohmann::json;
using testing::ErrorOf;

const std::string kGolden = PPX_SOURCE_DIR "/tests/golden/vad/";

const SileroVad& Vad() {
  static const SileroVad vad(PPX_SILERO_VAD);
  return vad;
}

Json Expected() {
  std::ifstream file(kGolden + "expected.json");
  return Json::parse(file);
}

std::vector<annotate::SampleSegment> Pairs(const Json& json) {
  std::vector<annotate::SampleSegment> segments;
  for (const Json& s : json) segments.push_back({s.at("start"), s.at("end")});
  return segments;
}

TEST_CASE("probabilities within 1e-3, segments exactly") {
  int files = 0;
  const Json expected = Expected();
  for (const auto& [name, wanted] : expected.items()) {
    CAPTURE(name);
    const base::Audio audio = audio::ReadAudio(kGolden + "wav/" + name);
    const auto probabilities = Vad().Probabilities(audio.samples);
    REQUIRE(probabilities.size() == wanted.at("probs").size());
    double worst = 0;
    for (size_t i = 0; i < probabilities.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(probabilities[i]) -
                                       wanted.at("probs").at(i).get<double>()));
    }
    CHECK(worst <= 1e-3);
    const auto samples = static_cast<int64_t>(audio.samples.size());
    annotate::SegmentOptions options;
    const auto segments = annotate::SegmentsFromProbabilities(probabilities, samples, options);
    CHECK(segments == Pairs(wanted.at("segments_samples")));
    const auto seconds = annotate::RoundedToTenths(
        annotate::ToSeconds(segments, SileroVad::kRateHz), audio.duration_s());
    REQUIRE(seconds.size() == wanted.at("segments_seconds_0p1").size());
    for (size_t i = 0; i < seconds.size(); ++i) {
      CHECK(seconds[i].start_s ==
            wanted.at("segments_seconds_0p1").at(i).at("start").get<double>());
      CHECK(seconds[i].end_s == wanted.at("segments_seconds_0p1").at(i).at("end").get<double>());
    }
    options.min_speech_ms = 60;
    options.min_silence_ms = 50;
    CHECK(annotate::SegmentsFromProbabilities(probabilities, samples, options) ==
          Pairs(wanted.at("segments_v15")));
    ++files;
  }
  CHECK(files >= 1);
}

TEST_CASE("window by window gives what all at once gives") {
  const base::Audio audio = audio::ReadAudio(kGolden + "wav/long_turn.wav");
  const auto whole = Vad().Probabilities(audio.samples);
  SileroVad::Stream stream(Vad());
  std::vector<float> window(SileroVad::kWindowSamples);
  for (size_t i = 0; i < whole.size(); ++i) {
    for (size_t k = 0; k < window.size(); ++k) {
      const size_t at = i * window.size() + k;
      window[k] = at < audio.samples.size() ? audio.samples[at] : 0.0F;
    }
    CHECK(std::abs(stream.Step(window) - whole[i]) < 1e-5F);
  }
}

TEST_CASE("long files are cut into blocks without a seam") {
  base::Audio audio = audio::ReadAudio(kGolden + "wav/long_turn.wav");
  std::vector<float> longer;
  while (longer.size() < size_t{600} * SileroVad::kWindowSamples) {
    longer.insert(longer.end(), audio.samples.begin(), audio.samples.end());
  }
  const auto whole = Vad().Probabilities(longer);
  SileroVad::Stream stream(Vad());
  for (size_t i = 0; i + 1 < whole.size(); ++i) {
    const float step = stream.Step(
        std::span(longer).subspan(i * SileroVad::kWindowSamples, SileroVad::kWindowSamples));
    if (std::abs(step - whole[i]) >= 1e-4F) FAIL("window " << i);
  }
}

TEST_CASE("several threads, the same bits") {
  UseOneThread();
  const base::Audio audio = audio::ReadAudio(kGolden + "wav/backchannels.wav");
  const auto alone = Vad().Probabilities(audio.samples);
  std::vector<std::vector<float>> results(4);
  std::vector<std::jthread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      UseOneThread();
      result = Vad().Probabilities(audio.samples);
    });
  }
  threads.clear();
  for (const auto& result : results) CHECK(result == alone);
}

TEST_CASE("other rates are resampled, nothing is no speech") {
  base::Audio audio = audio::ReadAudio(kGolden + "wav/long_turn.wav");
  const auto at_16k = Vad().Detect(audio);
  REQUIRE_FALSE(at_16k.empty());
  audio.sample_rate_hz = 32'000;  // the same samples, twice as fast: still there, half as long
  const auto faster = Vad().Detect(audio);
  REQUIRE_FALSE(faster.empty());
  CHECK(faster.back().end_s <= audio.duration_s());
  CHECK(Vad().Detect({{}, 16'000}).empty());
  CHECK(Vad().Probabilities({}).empty());
  CHECK(Vad().Detect({std::vector<float>(16'000, 0.0F), 16'000}).empty());
  CHECK(Vad().identity().sha256 ==
        "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720");
}

TEST_CASE("files that are no detector") {
  CHECK(ErrorOf([] { const SileroVad vad("/nowhere.jit"); }).Mentions("scripts/setup"));
  const testing::TempDir dir;
  testing::WriteFile(dir.File("text.jit"), "not a model");
  const auto thrown = ErrorOf([&] { const SileroVad vad(dir.File("text.jit")); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("no TorchScript module"));
  CHECK(thrown.message.find('\n') == std::string::npos);
}

}  // namespace
}  // namespace ppx::torchscript
