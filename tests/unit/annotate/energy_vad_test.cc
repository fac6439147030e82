#include "annotate/energy_vad.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "audio/resampler.h"
#include "audio/wav_reader.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "unit/annotate/signals.h"

namespace ppx::annotate {
namespace {

using base::Segment;
using testing::ErrorOf;
using testing::Joined;
using testing::Mixed;
using testing::Noise;
using testing::Silence;
using testing::Tone;

constexpr const char* kFolder = PPX_SOURCE_DIR "/tests/golden/vad/";

base::Audio Recording(const std::string& name) {
  return audio::ReadAudio(kFolder + ("wav/" + name));
}

// Segments of Silero.
std::vector<Segment> Expected(const std::string& name) {
  const auto golden =
      nlohmann::json::parse(testing::ReadFile(std::string(kFolder) + "expected.json"));
  std::vector<Segment> segments;
  for (const auto& item : golden.at(name).at("segments_samples")) {
    segments.push_back(
        {item.at("start").get<double>() / 16000, item.at("end").get<double>() / 16000});
  }
  return segments;
}

void CheckNear(const std::vector<Segment>& actual, const std::vector<Segment>& expected,
               double start_tolerance_s, double end_tolerance_s) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    CAPTURE(i);
    CAPTURE(actual[i].start_s);
    CAPTURE(actual[i].end_s);
    CHECK(std::abs(actual[i].start_s - expected[i].start_s) <= start_tolerance_s);
    CHECK(std::abs(actual[i].end_s - expected[i].end_s) <= end_tolerance_s);
  }
}

TEST_CASE("recorded speech: the segments of Silero, onsets within 100 ms") {
  for (const std::string name : {"long_turn.wav", "backchannels.wav", "cut_at_end.wav"}) {
    CAPTURE(name);
    CheckNear(EnergyVad().Detect(Recording(name)), Expected(name), 0.1, 0.2);
  }
}

TEST_CASE("steady noise and digital silence are no speech") {
  CHECK(EnergyVad().Detect(Recording("silence_noise.wav")).empty());
  CHECK(EnergyVad().Detect(Silence(3, 24000)).empty());
  CHECK(EnergyVad().Detect(Silence(0, 24000)).empty());
  CHECK(EnergyVad().Detect(Joined({Silence(2, 16000), Noise(0.01, 4, 16000)})).empty());
  // An offset is no sound.
  base::Audio offset = Silence(2, 16000);
  std::fill(offset.samples.begin(), offset.samples.end(), 0.3F);
  CHECK(EnergyVad().Detect(offset).empty());
}

TEST_CASE("bursts in noise at any rate, whatever the level of both") {
  for (const int rate_hz : {8000, 11025, 16000, 22050, 24000, 44100, 48000}) {
    for (const double gain : {1.0, 0.125}) {
      CAPTURE(rate_hz);
      CAPTURE(gain);
      const base::Audio noise = Noise(0.004 * gain, 6, rate_hz);
      const base::Audio burst = Tone(300, 1, rate_hz, 0.4 * gain);
      const base::Audio scene = Mixed(Mixed(noise, burst, 1.5), burst, 4.0);
      // Detected from the step that the burst begins in, less the padding of 30 ms.
      CheckNear(EnergyVad().Detect(scene), {{1.47, 2.53}, {3.97, 5.03}}, 0.015, 0.015);
    }
  }
}

TEST_CASE("the same recording at other rates gives the same segments") {
  const base::Audio original = Recording("long_turn.wav");
  const auto expected = EnergyVad().Detect(original);
  for (const int rate_hz : {24000, 44100, 48000}) {
    CAPTURE(rate_hz);
    CheckNear(EnergyVad().Detect(audio::Resample(original, rate_hz)), expected, 0.03, 0.03);
  }
  // Half of the band is gone, and with it the last fricative.
  CheckNear(EnergyVad().Detect(audio::Resample(original, 8000)), expected, 0.03, 0.2);
}

TEST_CASE("a noise that grows is not speech for ever") {
  const base::Audio scene = Joined({Noise(0.001, 20, 16000), Noise(0.008, 20, 16000)});
  const auto segments = EnergyVad().Detect(scene);
  REQUIRE(segments.size() == 1);
  CHECK(segments[0].start_s == doctest::Approx(20).epsilon(0.01));
  CHECK(segments[0].end_s < 26);
}

TEST_CASE("short sounds are dropped, short pauses bridged") {
  const base::Audio noise = Noise(0.001, 5, 16000);
  CHECK(EnergyVad().Detect(Mixed(noise, Tone(300, 0.15, 16000), 2.0)).empty());
  CHECK(EnergyVad().Detect(Mixed(noise, Tone(300, 0.35, 16000), 2.0)).size() == 1);
  const base::Audio close =
      Mixed(Mixed(noise, Tone(300, 0.5, 16000), 1.0), Tone(300, 0.5, 16000), 1.65);
  CHECK(EnergyVad().Detect(close).size() == 1);
  const base::Audio apart =
      Mixed(Mixed(noise, Tone(300, 0.5, 16000), 1.0), Tone(300, 0.5, 16000), 1.8);
  CHECK(EnergyVad().Detect(apart).size() == 2);
}

TEST_CASE("segments lie within the audio, also where sound fills it") {
  const base::Audio loud = Tone(200, 1.0005, 16000, 0.9);
  const auto segments = EnergyVad().Detect(loud);
  REQUIRE(segments.size() == 1);
  CHECK(segments[0].start_s == 0);
  CHECK(segments[0].end_s == loud.duration_s());
}

TEST_CASE("several threads, one detector") {
  const EnergyVad vad;
  const base::Audio audio = Recording("long_turn.wav");
  const auto expected = vad.Detect(audio);
  std::vector<std::vector<Segment>> results(4);
  {
    std::vector<std::jthread> threads;
    for (auto& result : results) threads.emplace_back([&] { result = vad.Detect(audio); });
  }
  for (const auto& result : results) CheckNear(result, expected, 0, 0);
}

TEST_CASE("settings are part of the identity; contradictions are refused") {
  const VadIdentity identity = EnergyVad().identity();
  CHECK(identity.name == "energy");
  CHECK(identity.sha256.size() == 64);
  CHECK(EnergyVad().identity() == identity);
  EnergyVadOptions options;
  options.on_db = 12;
  CHECK(EnergyVad(options).identity().sha256 != identity.sha256);
  options.off_db = 13;
  CHECK(ErrorOf([&] { EnergyVad vad(options); }).code == base::ErrorCode::kUsage);
  options = {};
  options.floor_percentile = 1.5;
  CHECK(ErrorOf([&] { EnergyVad vad(options); }).code == base::ErrorCode::kUsage);
}

TEST_CASE("no sample rate") {
  const auto thrown = ErrorOf([] { EnergyVad().Detect(Silence(1, 500)); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("500 Hz"));
}

}  // namespace
}  // namespace ppx::annotate
