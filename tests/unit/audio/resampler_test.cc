#include "audio/resampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::audio {
namespace {

using testing::ErrorOf;

constexpr int kModelHz = 24000;
constexpr int kCommonHz[] = {8000, 16000, 22050, 44100, 48000};

double SineAt(double hz, double time_s) {
  return 0.5 * std::sin(2 * std::numbers::pi * hz * time_s);
}

base::Audio Sine(double hz, int rate_hz, size_t samples) {
  base::Audio audio;
  audio.sample_rate_hz = rate_hz;
  audio.samples.resize(samples);
  for (size_t i = 0; i < samples; ++i) {
    audio.samples[i] = static_cast<float>(SineAt(hz, static_cast<double>(i) / rate_hz));
  }
  return audio;
}

base::Audio Click(int rate_hz, size_t samples, size_t position) {
  base::Audio audio;
  audio.sample_rate_hz = rate_hz;
  audio.samples.resize(samples, 0.0F);
  audio.samples[position] = 1.0F;
  return audio;
}

// Centre of the energy, in samples.
double Centre(const std::vector<float>& samples) {
  double moment = 0.0;
  double energy = 0.0;
  for (size_t i = 0; i < samples.size(); ++i) {
    const double square = static_cast<double>(samples[i]) * static_cast<double>(samples[i]);
    moment += static_cast<double>(i) * square;
    energy += square;
  }
  return moment / energy;
}

TEST_CASE("length is the input's time rounded up, in exact arithmetic") {
  CHECK(ResampledLength(0, 44100, 24000) == 0);
  CHECK(ResampledLength(1, 44100, 24000) == 1);
  CHECK(ResampledLength(2, 44100, 24000) == 2);
  CHECK(ResampledLength(147, 44100, 24000) == 80);
  CHECK(ResampledLength(148, 44100, 24000) == 81);
  CHECK(ResampledLength(1, 8000, 24000) == 3);
  CHECK(ResampledLength(3, 48000, 24000) == 2);
  // 2^53 is where doubles would begin to lose samples.
  CHECK(ResampledLength((int64_t{1} << 53) + 1, 48000, 24000) == (int64_t{1} << 52) + 1);
  CHECK(ResampledLength(std::numeric_limits<int64_t>::max(), 48000, 24000) == int64_t{1} << 62);
  CHECK(ErrorOf([] { ResampledLength(-1, 1, 1); }).code == base::ErrorCode::kInternal);
  CHECK(ErrorOf([] { ResampledLength(1, 0, 1); }).code == base::ErrorCode::kInternal);
}

TEST_CASE("the output has that length for every short input") {
  for (const int rate_hz : {1000, 8000, 11025, 16000, 22050, 44100, 48000, 96000, 768000}) {
    for (size_t samples = 0; samples < 60; ++samples) {
      CAPTURE(rate_hz);
      CAPTURE(samples);
      const base::Audio out = Resample(Sine(100, rate_hz, samples), kModelHz);
      CHECK(out.sample_rate_hz == kModelHz);
      CHECK(static_cast<int64_t>(out.samples.size()) ==
            ResampledLength(static_cast<int64_t>(samples), rate_hz, kModelHz));
    }
  }
}

TEST_CASE("a sine keeps its time, frequency and height") {
  // At 1 kHz an error of 1e-4 of 0.5 is a shift of 0.0008 samples at 24 kHz.
  for (const int rate_hz : kCommonHz) {
    for (const double hz : {100.0, 1000.0, 3000.0}) {
      CAPTURE(rate_hz);
      CAPTURE(hz);
      const auto one_second = static_cast<size_t>(rate_hz);
      const base::Audio out = Resample(Sine(hz, rate_hz, 2 * one_second + 13), kModelHz);
      double worst = 0.0;
      for (size_t k = 2400; k < 2 * static_cast<size_t>(kModelHz) - 2400; ++k) {
        const double ideal = SineAt(hz, static_cast<double>(k) / kModelHz);
        worst = std::max(worst, std::fabs(static_cast<double>(out.samples[k]) - ideal));
      }
      CHECK(worst < 5e-5);
    }
  }
}

TEST_CASE("a click stays at its time") {
  for (const int rate_hz : kCommonHz) {
    const auto one_second = static_cast<size_t>(rate_hz);
    for (const size_t position : {one_second / 4, one_second / 2 + 1, one_second * 3 / 4 + 7}) {
      CAPTURE(rate_hz);
      CAPTURE(position);
      const base::Audio out = Resample(Click(rate_hz, one_second, position), kModelHz);
      const double expected = static_cast<double>(position) * kModelHz / rate_hz;
      CHECK(std::fabs(Centre(out.samples) - expected) < 0.01);
    }
  }
}

TEST_CASE("a click on the first or last sample is not lost") {
  for (const int rate_hz : kCommonHz) {
    CAPTURE(rate_hz);
    constexpr size_t kSamples = 1003;
    // Spread over the samples of the slower rate, so lower where the input is the faster one.
    const float least =
        std::min(1.0F, static_cast<float>(kModelHz) / static_cast<float>(rate_hz)) / 2;
    const auto first = Resample(Click(rate_hz, kSamples, 0), kModelHz).samples;
    CHECK(std::max_element(first.begin(), first.end()) - first.begin() <= 1);
    CHECK(first[0] > least);
    const auto last = Resample(Click(rate_hz, kSamples, kSamples - 1), kModelHz).samples;
    const auto peak = std::max_element(last.begin(), last.end());
    const double expected = (kSamples - 1.0) * kModelHz / rate_hz;
    CHECK(std::fabs(static_cast<double>(peak - last.begin()) - expected) <= 0.5);
    CHECK(*peak > least);
  }
}

TEST_CASE("what the lower rate cannot hold is removed") {
  const base::Audio out = Resample(Sine(15000, 48000, 48000), kModelHz);
  float worst = 0.0F;
  for (size_t k = 1000; k + 1000 < out.samples.size(); ++k) {
    worst = std::max(worst, std::fabs(out.samples[k]));
  }
  CHECK(worst < 1e-4F);
}

TEST_CASE("no drift over minutes, across the blocks that the converter is fed with") {
  constexpr int kSeconds = 100;
  const base::Audio out = Resample(Sine(440, 44100, size_t{44100} * kSeconds), kModelHz);
  REQUIRE(out.samples.size() == size_t{kModelHz} * kSeconds);
  double worst = 0.0;
  for (size_t k = 2400; k < out.samples.size() - 2400; ++k) {
    const double ideal = SineAt(440, static_cast<double>(k) / kModelHz);
    worst = std::max(worst, std::fabs(static_cast<double>(out.samples[k]) - ideal));
  }
  CHECK(worst < 5e-5);
}

TEST_CASE("the same rate leaves the samples alone, and equal calls are equal") {
  const base::Audio in = Sine(440, kModelHz, 5000);
  CHECK(Resample(in, kModelHz).samples == in.samples);
  const base::Audio other = Sine(440, 44100, 5000);
  CHECK(Resample(other, kModelHz).samples == Resample(other, kModelHz).samples);
}

TEST_CASE("there and back") {
  const base::Audio in = Sine(500, 16000, 16000);
  const base::Audio back = Resample(Resample(in, kModelHz), 16000);
  REQUIRE(back.samples.size() == in.samples.size());
  for (size_t i = 1000; i + 1000 < in.samples.size(); ++i) {
    REQUIRE(std::fabs(back.samples[i] - in.samples[i]) < 1e-4F);
  }
}

TEST_CASE("rates that cannot be converted") {
  const auto code_of = [](int from_hz, int to_hz) {
    base::Audio audio;
    audio.sample_rate_hz = from_hz;
    audio.samples = {0.5F};
    return ErrorOf([&] { Resample(audio, to_hz); }).code;
  };
  CHECK(code_of(0, 24000) == base::ErrorCode::kBadInput);
  CHECK(code_of(-8000, 24000) == base::ErrorCode::kBadInput);
  CHECK(code_of(24000, 0) == base::ErrorCode::kBadInput);
  CHECK(code_of(24000, -1) == base::ErrorCode::kBadInput);
  CHECK(code_of(50, 24000) == base::ErrorCode::kBadInput);
  CHECK(code_of(768000, 1000) == base::ErrorCode::kBadInput);
  CHECK(!code_of(768000, 3000).has_value());
}

}  // namespace
}  // namespace ppx::audio
