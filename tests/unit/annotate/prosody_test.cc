#include "annotate/prosody.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "audio/wav_reader.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "unit/annotate/signals.h"

namespace ppx::annotate {
namespace {

using testing::ErrorOf;
using testing::Harmonics;
using testing::Joined;
using testing::Mixed;
using testing::Noise;
using testing::Silence;
using testing::Sound;
using testing::Tone;

Prosody Whole(const base::Audio& audio) { return MeasureProsody(audio, 0, audio.duration_s()); }

void CheckPitch(const base::Audio& audio, double hz, double tolerance_hz) {
  const Prosody prosody = Whole(audio);
  REQUIRE(prosody.pitch_mean_hz);
  CHECK(prosody.voiced_frames == prosody.frames);
  CHECK(std::abs(*prosody.pitch_mean_hz - hz) < tolerance_hz);
  CHECK(*prosody.pitch_sd_hz < tolerance_hz);
}

TEST_CASE("tones over the whole range, at all rates") {
  for (const int rate_hz : {8000, 16000, 22050, 24000, 48000}) {
    for (const double hz : {55.0, 80.0, 123.4, 220.0, 333.3, 440.0, 590.0}) {
      CAPTURE(rate_hz);
      CAPTURE(hz);
      CheckPitch(Tone(hz, 0.5, rate_hz), hz, 0.002 * hz);
    }
  }
}

TEST_CASE("harmonics: no octave errors, even where the fundamental is weak or missing") {
  for (const double hz : {70.0, 110.0, 200.0, 290.0}) {
    CAPTURE(hz);
    const int count = static_cast<int>(3800 / hz);
    // A train of pulses, a falling spectrum, a strong second harmonic, no fundamental at all.
    CheckPitch(Harmonics(hz, count, 0.6, 16000, [](int) { return 0.03; }), hz, 0.3);
    CheckPitch(Harmonics(hz, count, 0.6, 16000, [](int k) { return 0.3 / k; }), hz, 0.3);
    CheckPitch(Harmonics(hz, count, 0.6, 16000, [](int k) { return k == 2 ? 0.5 : 0.05; }), hz,
               0.3);
    CheckPitch(Harmonics(hz, count, 0.6, 16000, [](int k) { return k == 1 ? 0.0 : 0.03; }), hz,
               0.3);
  }
}

TEST_CASE("harmonics in moderate noise") {
  const base::Audio voice = Harmonics(150, 20, 1, 16000, [](int k) { return 0.3 / k; });
  const Prosody prosody = Whole(Mixed(voice, Noise(0.03, 1, 16000)));
  REQUIRE(prosody.pitch_mean_hz);
  CHECK(prosody.voiced_frames == prosody.frames);
  CHECK(*prosody.pitch_mean_hz == doctest::Approx(150).epsilon(0.005));
}

TEST_CASE("a glide is followed") {
  constexpr double kFrom = 100;
  constexpr double kTo = 300;
  constexpr double kSeconds = 2;
  const base::Audio glide = Sound(kSeconds, 16000, [](double t) {
    return 0.5 *
           std::sin(2 * std::numbers::pi * (kFrom * t + (kTo - kFrom) / kSeconds * t * t / 2));
  });
  const PitchTrack track = TrackPitch(glide.samples, 16000);
  REQUIRE(track.hz.size() == 195);  // (2 - 0.06) / 0.01 + 1
  CHECK(track.first_s == doctest::Approx(0.03));
  for (size_t i = 0; i < track.hz.size(); ++i) {
    CAPTURE(i);
    const double t = track.first_s + kProsodyStepS * static_cast<double>(i);
    REQUIRE(track.hz[i]);
    CHECK(std::abs(*track.hz[i] - (kFrom + (kTo - kFrom) * t / kSeconds)) < 2.0);
  }
  const Prosody prosody = Whole(glide);
  CHECK(*prosody.pitch_mean_hz == doctest::Approx(200).epsilon(0.005));
  // Of a uniform distribution over the frames' 194 Hz.
  CHECK(*prosody.pitch_sd_hz == doctest::Approx(194 / std::sqrt(12)).epsilon(0.02));
}

TEST_CASE("nothing voiced: no pitch") {
  const Prosody silence = Whole(Silence(1, 16000));
  CHECK(silence.frames == 95);
  CHECK(silence.voiced_frames == 0);
  CHECK(!silence.pitch_mean_hz);
  CHECK(!silence.pitch_sd_hz);
  CHECK(!silence.intensity_mean_db);
  CHECK(!silence.intensity_sd_db);

  const Prosody noise = Whole(Noise(0.1, 2, 16000));
  CHECK(noise.voiced_frames <= noise.frames / 50);
  CHECK(noise.intensity_mean_db);
}

TEST_CASE("tones outside the range are not halved or doubled into it") {
  const Prosody low = Whole(Tone(35, 1, 16000));
  CHECK(low.voiced_frames == 0);
  // A tone above the ceiling repeats every two of its periods as well; that is what a voice with a
  // missing fundamental does, and how Praat takes it.
  const Prosody high = Whole(Tone(900, 1, 16000));
  REQUIRE(high.pitch_mean_hz);
  CHECK(*high.pitch_mean_hz == doctest::Approx(450).epsilon(0.005));
}

TEST_CASE("frames that are quiet beside the loudest are unvoiced") {
  const base::Audio loud = Tone(200, 0.5, 16000, 0.8);
  const base::Audio quiet = Tone(120, 0.5, 16000, 0.8 * 0.005);
  const Prosody prosody = Whole(Joined({loud, quiet}));
  REQUIRE(prosody.pitch_mean_hz);
  CHECK(*prosody.pitch_mean_hz == doctest::Approx(200).epsilon(0.01));
  CHECK(prosody.voiced_frames < prosody.frames * 6 / 10);
}

TEST_CASE("only the range counts") {
  const base::Audio audio =
      Joined({Tone(100, 1, 16000), Tone(300, 1, 16000, 0.05), Silence(1, 16000)});
  CHECK(*MeasureProsody(audio, 0, 1).pitch_mean_hz == doctest::Approx(100).epsilon(0.002));
  CHECK(*MeasureProsody(audio, 1, 2).pitch_mean_hz == doctest::Approx(300).epsilon(0.002));
  CHECK(MeasureProsody(audio, 1, 2).voiced_frames == 95);
  CHECK(!MeasureProsody(audio, 2, 3).pitch_mean_hz);
  // Beyond the file; empty; reversed; no number.
  CHECK(MeasureProsody(audio, -5, 1).frames == MeasureProsody(audio, 0, 1).frames);
  CHECK(MeasureProsody(audio, 2.5, 9).frames == 45);
  const double nan = std::nan("");
  for (const auto& [start_s, end_s] :
       std::vector<std::pair<double, double>>{{1, 1}, {2, 1}, {7, 9}, {nan, 1}, {0, nan}}) {
    const Prosody none = MeasureProsody(audio, start_s, end_s);
    CHECK(none.frames == 0);
    CHECK(!none.pitch_mean_hz);
    CHECK(!none.intensity_mean_db);
  }
}

TEST_CASE("intensity of a tone") {
  // RMS 0.5 / sqrt(2), in dB re 2e-5.
  const double expected = 20 * std::log10(0.5 / std::sqrt(2.0) / 2e-5);
  for (const int rate_hz : {8000, 16000, 48000}) {
    CAPTURE(rate_hz);
    const Prosody prosody = Whole(Tone(200, 1, rate_hz, 0.5));
    CHECK(std::abs(*prosody.intensity_mean_db - expected) < 0.01);
    CHECK(*prosody.intensity_sd_db < 0.01);
    // Half the amplitude for the second half: 6.02 dB, half of it the deviation.
    const Prosody steps = Whole(Joined({Tone(200, 2, rate_hz, 0.5), Tone(200, 2, rate_hz, 0.25)}));
    CHECK(std::abs(*steps.intensity_mean_db - (expected - 3.01)) < 0.05);
    CHECK(std::abs(*steps.intensity_sd_db - 3.01) < 0.05);
  }
}

TEST_CASE("intensity leaves digital silence and offsets out") {
  const base::Audio tone = Tone(200, 1, 16000, 0.5);
  const double alone = *Whole(tone).intensity_mean_db;
  const auto levels = IntensityDb(Joined({tone, Silence(5, 16000)}).samples, 16000);
  CHECK(levels.size() < 105);
  base::Audio offset = tone;
  for (float& sample : offset.samples) sample += 0.25F;
  CHECK(std::abs(*Whole(offset).intensity_mean_db - alone) < 0.05);
}

TEST_CASE("shorter than a frame: no frames") {
  CHECK(TrackPitch(Tone(200, 0.059, 16000).samples, 16000).hz.empty());
  CHECK(TrackPitch(Tone(200, 0.060, 16000).samples, 16000).hz.size() == 1);
  CHECK(TrackPitch({}, 16000).hz.empty());
  CHECK(IntensityDb(Tone(200, 0.063, 16000).samples, 16000).empty());
  CHECK(IntensityDb(Tone(200, 0.064, 16000).samples, 16000).size() == 1);
}

TEST_CASE("recorded speech has a speaker's pitch") {
  const base::Audio audio = audio::ReadAudio(PPX_SOURCE_DIR "/tests/golden/vad/wav/long_turn.wav");
  const Prosody prosody = MeasureProsody(audio, 0.77, 5.374);
  REQUIRE(prosody.pitch_mean_hz);
  CHECK(*prosody.pitch_mean_hz > 70);
  CHECK(*prosody.pitch_mean_hz < 300);
  CHECK(prosody.voiced_frames > prosody.frames / 3);
  CHECK(prosody.voiced_frames < prosody.frames);
}

TEST_CASE("bad rates and options") {
  const base::Audio tone = Tone(200, 1, 2000);
  const auto thrown = ErrorOf([&] { Whole(tone); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("2000 Hz"));
  PitchOptions options;
  options.ceiling_hz = 40;
  CHECK(ErrorOf([&] { TrackPitch(tone.samples, 16000, options); }).code ==
        base::ErrorCode::kInternal);
  CHECK(ErrorOf([&] { IntensityDb(tone.samples, 0); }).code == base::ErrorCode::kInternal);
}

}  // namespace
}  // namespace ppx::annotate
