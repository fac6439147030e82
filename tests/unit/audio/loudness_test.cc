#include "audio/loudness.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numbers>
#include <string>

#include "audio/wav_reader.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::audio {
namespace {

using testing::ErrorOf;

// A float32 tensor of a safetensors file: 8 bytes header length, a JSON header, then the data.
std::vector<float> FloatTensor(const std::string& path, const std::string& name) {
  const std::string bytes = testing::ReadFile(path);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  const auto header = nlohmann::json::parse(bytes.substr(8, header_bytes));
  REQUIRE(header.at(name).at("dtype") == "F32");
  const size_t begin = header.at(name).at("data_offsets").at(0);
  const size_t end = header.at(name).at("data_offsets").at(1);
  std::vector<float> values((end - begin) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + 8 + header_bytes + begin, end - begin);
  return values;
}

std::vector<float> Sine(double hz, int rate_hz, size_t samples, double amplitude) {
  std::vector<float> sine(samples);
  for (size_t i = 0; i < samples; ++i) {
    sine[i] = static_cast<float>(
        amplitude * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / rate_hz));
  }
  return sine;
}

// White noise in stretches of 0.7 s at levels that both gates act on. Every value is exact in
// float.
std::vector<float> SteppedNoise(int rate_hz, size_t samples) {
  constexpr double kLevels[] = {0.5, 1.0 / 64, 0.0, 0.25, 1.0 / 4096, 0.125};
  const size_t stretch = static_cast<size_t>(rate_hz) * 7 / 10;
  std::vector<float> noise(samples);
  uint32_t state = 1;
  for (size_t i = 0; i < samples; ++i) {
    state = state * 1664525U + 1013904223U;
    const double uniform = (static_cast<double>(state >> 16) - 32768.0) / 32768.0;
    noise[i] = static_cast<float>(uniform * kLevels[(i / stretch) % 6]);
  }
  return noise;
}

TEST_CASE("the voice prompt of the golden run, normalised to -24 LUFS") {
  const std::string folder = PPX_SOURCE_DIR "/tests/golden/tiny/";
  base::Audio voice = ReadAudio(folder + "voice.wav");
  REQUIRE(voice.sample_rate_hz == 24000);
  const std::vector<float> expected =
      FloatTensor(folder + "golden.safetensors", "voice.normalized_pcm");
  REQUIRE(voice.samples.size() == expected.size());
  const LoudnessGain gain = NormalizeLoudness(voice.samples, voice.sample_rate_hz, -24.0);
  CHECK(gain.applied);
  CHECK(voice.samples == expected);  // to the last bit
  const auto after = IntegratedLoudnessLufs(voice.samples, voice.sample_rate_hz);
  REQUIRE(after.has_value());
  CHECK(*after == doctest::Approx(-24.0).epsilon(1e-6));
}

TEST_CASE("values of pyloudnorm 0.2.0 for the same noise") {
  struct Row {
    int rate_hz;
    size_t samples;
    double lufs;
  };
  // Lengths on, just before and just after a block's end and the half step where their number
  // rises.
  const Row rows[] = {
      {24000, 9600, -7.916524454227},    {24000, 36500, -8.928681661478},
      {24000, 100001, -12.721881531808}, {8000, 40000, -12.066729114572},
      {16000, 6400, -8.125667819334},    {16000, 77777, -11.580303166249},
      {22050, 95003, -12.777080359011},  {44100, 17640, -7.702139426817},
      {44100, 200000, -12.225561832755}, {48000, 240000, -11.033738570567},
      {48000, 19201, -7.677242120216},   {11025, 4961, -8.437902950063},
      {24000, 10799, -7.916524454227},   {24000, 10800, -7.916524454227},
      {24000, 10801, -8.193627636034},   {24000, 13200, -8.084175478199},
      {24000, 15600, -7.895921174149},
  };
  for (const Row& row : rows) {
    CAPTURE(row.rate_hz);
    CAPTURE(row.samples);
    const auto lufs = IntegratedLoudnessLufs(SteppedNoise(row.rate_hz, row.samples), row.rate_hz);
    REQUIRE(lufs.has_value());
    CHECK(std::fabs(*lufs - row.lufs) < 1e-8);
  }
}

TEST_CASE("a full-scale sine near 1 kHz is about -3 LUFS, and gain moves loudness by as much") {
  for (const int rate_hz : {16000, 24000, 48000}) {
    CAPTURE(rate_hz);
    std::vector<float> sine = Sine(997, rate_hz, static_cast<size_t>(rate_hz) * 5, 1.0);
    const double full = IntegratedLoudnessLufs(sine, rate_hz).value();
    CHECK(std::fabs(full + 3.01) < 0.1);
    for (float& sample : sine) {
      sample *= 0.125F;
    }
    const double quiet = IntegratedLoudnessLufs(sine, rate_hz).value();
    CHECK(std::fabs(quiet - (full - 18.0618)) < 1e-4);
  }
}

TEST_CASE("silence beside speech is gated out") {
  std::vector<float> tone = Sine(400, 24000, 240000, 0.1);
  const double alone = IntegratedLoudnessLufs(tone, 24000).value();
  tone.resize(24000 * 60, 0.0F);
  CHECK(std::fabs(IntegratedLoudnessLufs(tone, 24000).value() - alone) < 0.1);
}

TEST_CASE("shorter than a block: no loudness, no gain") {
  std::vector<float> samples = Sine(400, 24000, 9599, 0.5);
  const std::vector<float> before = samples;
  CHECK(!IntegratedLoudnessLufs(samples, 24000).has_value());
  const LoudnessGain gain = NormalizeLoudness(samples, 24000, -24.0);
  CHECK(!gain.applied);
  CHECK(!gain.input_lufs.has_value());
  CHECK(gain.gain == 1.0);
  CHECK(samples == before);
  std::vector<float> none;
  CHECK(!NormalizeLoudness(none, 24000, -24.0).applied);
}

TEST_CASE("silence, and what lies below the absolute gate: minus infinity, no gain") {
  for (const double amplitude : {0.0, 1e-4}) {
    std::vector<float> samples = Sine(100, 24000, 48000, amplitude);
    const std::vector<float> before = samples;
    const LoudnessGain gain = NormalizeLoudness(samples, 24000, -24.0);
    CHECK(!gain.applied);
    REQUIRE(gain.input_lufs.has_value());
    CHECK(*gain.input_lufs == -std::numeric_limits<double>::infinity());
    CHECK(samples == before);
  }
}

TEST_CASE("there is no limiter") {
  std::vector<float> samples = Sine(400, 24000, 24000, 0.01);
  CHECK(NormalizeLoudness(samples, 24000, 6.0).applied);
  CHECK(*std::max_element(samples.begin(), samples.end()) > 1.5F);
}

TEST_CASE("a rate too low for the shelf") {
  const std::vector<float> samples(10000, 0.5F);
  const auto thrown = ErrorOf([&] { IntegratedLoudnessLufs(samples, 3000); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("3000"));
  CHECK(ErrorOf([&] { IntegratedLoudnessLufs(samples, 0); }).code == base::ErrorCode::kBadInput);
  CHECK(!ErrorOf([&] { IntegratedLoudnessLufs(samples, 3001); }).code.has_value());
}

}  // namespace
}  // namespace ppx::audio
