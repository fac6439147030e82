#include "annotate/live_speech.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::annotate {

// For doctest's messages.
static doctest::String toString(const SpeechChange& change) {
  return doctest::String(change.speech ? "+" : "-") + doctest::toString(change.at_sample) + "@" +
         doctest::toString(change.known_sample);
}

namespace {

using testing::ErrorOf;

constexpr int kRateHz = 24000;

int64_t At(double seconds) { return std::llround(seconds * kRateHz); }

// Audio that a test writes, in seconds.
struct Sketch {
  std::vector<float> samples;
  std::mt19937 random{7};

  explicit Sketch(double seconds) : samples(static_cast<size_t>(At(seconds)), 0.0F) {}

  // A tone with an RMS of `level_db`.
  Sketch& Tone(double from_s, double to_s, double level_db, double hz = 200) {
    const double peak = std::pow(10.0, level_db / 20.0) * std::numbers::sqrt2;
    for (int64_t i = At(from_s); i < At(to_s); ++i) {
      const double t = static_cast<double>(i) / kRateHz;
      samples[static_cast<size_t>(i)] +=
          static_cast<float>(peak * std::sin(2 * std::numbers::pi * hz * t));
    }
    return *this;
  }
  Sketch& Noise(double from_s, double to_s, double level_db) {
    const double peak = std::pow(10.0, level_db / 20.0) * std::numbers::sqrt3;
    for (int64_t i = At(from_s); i < At(to_s); ++i) {
      const double unit = static_cast<double>(random()) / 4294967295.0 * 2 - 1;
      samples[static_cast<size_t>(i)] += static_cast<float>(peak * unit);
    }
    return *this;
  }
  Sketch& Offset(double from_s, double to_s, float offset) {
    for (int64_t i = At(from_s); i < At(to_s); ++i) samples[static_cast<size_t>(i)] += offset;
    return *this;
  }
};

std::vector<SpeechChange> Hear(const std::vector<float>& samples, size_t chunk = 1920,
                               const LiveSpeechOptions& options = {}) {
  LiveSpeech speech(kRateHz, options);
  std::vector<SpeechChange> changes;
  for (size_t at = 0; at < samples.size(); at += chunk) {
    const auto piece = std::span(samples).subspan(at, std::min(chunk, samples.size() - at));
    const auto more = speech.Push(piece);
    changes.insert(changes.end(), more.begin(), more.end());
  }
  CHECK(speech.samples() == static_cast<int64_t>(samples.size()));
  CHECK(speech.speaking() == (!changes.empty() && changes.back().speech));
  return changes;
}

void CheckNear(const SpeechChange& change, bool speech, double at_s) {
  CAPTURE(change);
  CHECK(change.speech == speech);
  CHECK(std::abs(change.at_sample - At(at_s)) <= At(0.021));
  const int64_t delay = change.known_sample - At(at_s);
  CHECK(delay >= At(speech ? 0.1 : 0.3) - At(0.021));
  CHECK(delay <= At(speech ? 0.1 : 0.3) + At(0.021));
}

TEST_CASE("a tone out of digital silence, and its end") {
  const auto changes = Hear(Sketch(4).Tone(1, 2, -20).samples);
  REQUIRE(changes.size() == 2);
  CheckNear(changes[0], true, 1);
  CheckNear(changes[1], false, 2);
}

TEST_CASE("tones in noise that was there before") {
  Sketch sketch(8);
  sketch.Noise(0, 8, -52).Tone(2.5, 3.2, -22).Tone(5, 6, -22);
  const auto changes = Hear(sketch.samples);
  REQUIRE(changes.size() == 4);
  CheckNear(changes[0], true, 2.5);
  CheckNear(changes[1], false, 3.2);
  CheckNear(changes[2], true, 5);
  CheckNear(changes[3], false, 6);
}

TEST_CASE("audio that begins with speech") {
  const auto changes = Hear(Sketch(3).Noise(0, 3, -65).Tone(0, 1, -30).samples);
  REQUIRE(changes.size() == 2);
  CheckNear(changes[0], true, 0);
  CheckNear(changes[1], false, 1);
}

TEST_CASE("silence, faint noise and an offset are no speech") {
  CHECK(Hear(std::vector<float>(5 * kRateHz, 0.0F)).empty());
  CHECK(Hear(Sketch(5).Noise(0, 5, -62).samples).empty());
  CHECK(Hear(Sketch(5).Offset(0, 5, 0.3F).samples).empty());
  CHECK(Hear(Sketch(5).Noise(0, 5, -62).Offset(1, 3, 0.4F).samples).empty());
  const std::vector<float> bad(kRateHz, std::numeric_limits<float>::quiet_NaN());
  CHECK(Hear(bad).empty());
  CHECK(Hear({}).empty());
}

TEST_CASE("a tone on an offset is heard as one without") {
  const auto plain = Hear(Sketch(4).Noise(0, 4, -60).Tone(1, 2, -20).samples);
  const auto shifted = Hear(Sketch(4).Noise(0, 4, -60).Tone(1, 2, -20).Offset(0, 4, 0.2F).samples);
  CHECK(plain == shifted);
  CHECK(plain.size() == 2);
}

TEST_CASE("clicks are too short, pauses inside speech too") {
  CHECK(Hear(Sketch(3).Tone(1, 1.06, -15).Tone(2, 2.05, -15).samples).empty());
  const auto changes = Hear(Sketch(4).Tone(1, 1.5, -20).Tone(1.7, 2.5, -20).samples);
  REQUIRE(changes.size() == 2);
  CheckNear(changes[0], true, 1);
  CheckNear(changes[1], false, 2.5);
  const auto apart = Hear(Sketch(4).Tone(1, 1.5, -20).Tone(1.9, 2.5, -20).samples);
  CHECK(apart.size() == 4);
}

TEST_CASE("two short sounds make no speech, a dip within one does not end it") {
  CHECK(Hear(Sketch(3).Tone(1, 1.06, -15).Tone(1.16, 1.22, -15).samples).empty());
  const auto changes = Hear(Sketch(3).Tone(1, 1.06, -15).Tone(1.09, 1.4, -15).samples);
  REQUIRE(changes.size() == 2);
  CheckNear(changes[0], true, 1);
}

TEST_CASE("levels between the thresholds change nothing") {
  LiveSpeechOptions options;
  options.adaptive = false;
  options.absolute_on_db = -40;
  options.absolute_off_db = -50;
  CHECK(Hear(Sketch(3).Tone(0.5, 2, -45).samples, 1920, options).empty());
  const auto changes =
      Hear(Sketch(4).Tone(0.5, 1, -30).Tone(1, 2, -45).Tone(2, 3.5, -55).samples, 1920, options);
  REQUIRE(changes.size() == 2);
  CheckNear(changes[1], false, 2);
}

TEST_CASE("fixed thresholds hear what adaptive ones take for noise") {
  const auto noisy = Sketch(30).Noise(0, 30, -40).samples;
  const auto adaptive = Hear(noisy);
  // It begins as speech, since audio may begin so, and is noise within a second or so.
  REQUIRE(adaptive.size() == 2);
  CHECK(adaptive[1].at_sample <= At(1.1));
  LiveSpeechOptions options;
  options.adaptive = false;
  const auto fixed = Hear(noisy, 1920, options);
  REQUIRE(fixed.size() == 1);
  CHECK(fixed[0].at_sample == 0);
}

TEST_CASE("the samples to come change nothing") {
  Sketch sketch(6);
  sketch.Noise(0, 6, -50).Tone(1, 1.8, -20).Tone(2.5, 4, -25).Tone(4.2, 5, -18);
  const auto all = Hear(sketch.samples);
  REQUIRE(all.size() >= 4);
  for (int64_t cut = 0; cut <= At(6); cut += 1777) {
    CAPTURE(cut);
    std::vector<float> other = sketch.samples;
    std::mt19937 random(static_cast<uint32_t>(cut));
    for (size_t i = static_cast<size_t>(cut); i < other.size(); ++i) {
      other[i] = static_cast<float>(random() % 2000) / 1000.0F - 1.0F;
    }
    const auto changed = Hear(other);
    for (size_t i = 0; i < all.size() && all[i].known_sample <= cut; ++i) {
      REQUIRE(i < changed.size());
      CHECK(changed[i] == all[i]);
    }
    for (size_t i = 0; i < changed.size() && changed[i].known_sample <= cut; ++i) {
      REQUIRE(i < all.size());
      CHECK(changed[i] == all[i]);
    }
  }
  for (const SpeechChange& change : all) CHECK(change.known_sample > change.at_sample);
}

TEST_CASE("the size of the calls changes nothing") {
  Sketch sketch(4);
  sketch.Noise(0, 4, -50).Tone(1, 1.8, -20).Tone(2.5, 3.3, -25);
  const auto all = Hear(sketch.samples, sketch.samples.size());
  CHECK(all.size() == 4);
  for (const size_t chunk : {1U, 7U, 239U, 240U, 241U, 1920U, 50000U}) {
    CAPTURE(chunk);
    CHECK(Hear(sketch.samples, chunk) == all);
  }
}

TEST_CASE("rates and settings that cannot be used") {
  CHECK(ErrorOf([] { LiveSpeech speech(999); }).code == base::ErrorCode::kBadInput);
  LiveSpeech lowest(1000);
  CHECK(lowest.Push(std::vector<float>(1000, 0.0F)).empty());
  const auto refused = [](auto change) {
    LiveSpeechOptions options;
    change(options);
    CHECK(ErrorOf([&] { LiveSpeech speech(kRateHz, options); }).code == base::ErrorCode::kUsage);
  };
  refused([](LiveSpeechOptions& o) { o.min_speech_ms = 9; });
  refused([](LiveSpeechOptions& o) { o.min_silence_ms = 0; });
  refused([](LiveSpeechOptions& o) { o.absolute_off_db = o.absolute_on_db + 1; });
  refused([](LiveSpeechOptions& o) { o.off_db = o.on_db + 1; });
  refused([](LiveSpeechOptions& o) { o.floor_percentile = 1.5; });
  refused([](LiveSpeechOptions& o) { o.min_floor_db = o.max_floor_db + 1; });
  refused([](LiveSpeechOptions& o) { o.floor_window_s = std::nan(""); });
}

}  // namespace
}  // namespace ppx::annotate
