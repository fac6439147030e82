#include "annotate/spectrum.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "audio/wav_reader.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "unit/annotate/signals.h"

namespace ppx::annotate {
namespace {

using testing::Joined;
using testing::Noise;
using testing::Silence;
using testing::Tone;

TEST_CASE("white noise is flat at every rate, a tone is not") {
  for (const int rate_hz : {8000, 16000, 22050, 24000, 48000}) {
    CAPTURE(rate_hz);
    double sum = 0;
    const auto track = FlatnessTrack(Noise(0.1, 4, rate_hz));
    REQUIRE(track.size() == 249);  // (4 - 0.032) / 0.016 + 1
    for (const auto& value : track) {
      REQUIRE(value);
      sum += *value;
    }
    // exp(-0.5772): the mean of the logarithm of an exponential distribution.
    CHECK(std::abs(sum / static_cast<double>(track.size()) - 0.5615) < 0.04);
    for (const auto& value : FlatnessTrack(Tone(440, 1, rate_hz))) {
      REQUIRE(value);
      CHECK(*value < 0.01);
    }
  }
}

TEST_CASE("the longest stretch of noise") {
  const base::Audio scene = Joined(
      {Noise(0.1, 1, 16000), Tone(300, 1, 16000), Noise(0.1, 2.5, 16000, 7), Tone(300, 1, 16000)});
  CHECK(std::abs(LongestFlatStretch(scene, 0.3) - 2.5) < 0.05);
  CHECK(LongestFlatStretch(scene, 0.9) == 0);
  CHECK(LongestFlatStretch(Tone(300, 3, 16000), 0.3) == 0);
}

TEST_CASE("silence is not noise: digital, dither, a quiet recorder") {
  CHECK(LongestFlatStretch(Silence(3, 16000), 0.3) == 0);
  CHECK(LongestFlatStretch(Noise(1.0 / 32768, 3, 16000), 0.3) == 0);
  CHECK(LongestFlatStretch(Noise(0.0005, 3, 16000), 0.3) == 0);
  base::Audio offset = Noise(0.0001, 3, 16000);
  for (float& sample : offset.samples) sample += 0.5F;
  CHECK(LongestFlatStretch(offset, 0.3) == 0);
  CHECK(LongestFlatStretch(Noise(0.0005, 3, 16000), 0.3, -90) > 2.9);
  // It ends a stretch.
  const base::Audio broken =
      Joined({Noise(0.1, 1.5, 16000), Silence(0.2, 16000), Noise(0.1, 1, 16000)});
  CHECK(std::abs(LongestFlatStretch(broken, 0.3) - 1.5) < 0.05);
}

TEST_CASE("recorded speech is not noise for long, recorded noise is") {
  const std::string folder = PPX_SOURCE_DIR "/tests/golden/vad/wav/";
  CHECK(LongestFlatStretch(audio::ReadAudio(folder + "backchannels.wav"), 0.3) < 0.5);
  CHECK(LongestFlatStretch(audio::ReadAudio(folder + "silence_noise.wav"), 0.3) > 2);
}

TEST_CASE("too short for a frame, and no rate") {
  CHECK(FlatnessTrack(Noise(0.1, 0.031, 16000)).empty());
  CHECK(FlatnessTrack(Noise(0.1, 0.032, 16000)).size() == 1);
  CHECK(LongestFlatStretch(Noise(0.1, 0.032, 16000), 0.1) == doctest::Approx(0.032));
  CHECK(LongestFlatStretch(Silence(0, 16000), 0.3) == 0);
  CHECK(testing::ErrorOf([] { FlatnessTrack(Silence(1, 999)); }).code ==
        base::ErrorCode::kBadInput);
}

TEST_CASE("clipping") {
  const std::vector<float> samples{
      0.0F, 1.0F, -1.0F, 32767.0F / 32768, 32766.0F / 32768, -32767.0F / 32768, 1.5F};
  CHECK(ClippedSamples(samples) == 5);
  CHECK(ClippedSamples({}) == 0);
}

}  // namespace
}  // namespace ppx::annotate
