// Scenes with known speech, and detectors whose errors are known.
#include "evaluate/selftest.h"

#include <cmath>

#include "annotate/energy_vad.h"
#include "support/doctest.h"

namespace ppx::evaluate {
namespace {

// Knows the truth of one scene and reports it with a fixed error.
class Biased final : public annotate::Vad {
 public:
  Biased(const Scene& scene, double onset_s, double offset_s, bool extra)
      : scene_(scene), onset_s_(onset_s), offset_s_(offset_s), extra_(extra) {}
  using Vad::Detect;
  std::vector<base::Segment> Detect(const base::Audio&, std::optional<Lengths>) const override {
    std::vector<base::Segment> segments;
    if (extra_) segments.push_back({0.01, 0.02});
    for (const base::Segment& truth : scene_.speech) {
      segments.push_back({truth.start_s + onset_s_, truth.end_s + offset_s_});
    }
    return segments;
  }
  annotate::VadIdentity identity() const override { return {"biased", "1", ""}; }
  double step_s() const override { return 0; }

 private:
  const Scene& scene_;
  double onset_s_, offset_s_;
  bool extra_;
};

TEST_CASE("the bias of a detector is what it adds") {
  const auto scenes = SyntheticScenes();
  REQUIRE(scenes.size() >= 8);
  const DetectorError error = MeasureDetector(Biased(scenes[0], 0.03, -0.05, true), {scenes[0]});
  CHECK(error.found == error.expected);
  CHECK(error.extra == 1);
  CHECK(*error.onset_bias_s == doctest::Approx(0.03));
  CHECK(*error.offset_bias_s == doctest::Approx(-0.05));
  CHECK(*error.onset_sd_s == doctest::Approx(0));
  CHECK(std::abs(*error.offset_worst_s) == doctest::Approx(0.05));
}

TEST_CASE("scenes are the same every time, and their speech is where they say") {
  const auto scenes = SyntheticScenes();
  const auto again = SyntheticScenes();
  for (size_t i = 0; i < scenes.size(); ++i) {
    CHECK(scenes[i].audio.samples == again[i].audio.samples);
    const int rate_hz = scenes[i].audio.sample_rate_hz;
    for (const base::Segment& speech : scenes[i].speech) {
      const auto level = [&](double from_s, double until_s) {
        double energy = 0;
        const auto first = static_cast<size_t>(from_s * rate_hz);
        const auto last = static_cast<size_t>(until_s * rate_hz);
        for (size_t k = first; k < last; ++k) {
          energy += std::pow(static_cast<double>(scenes[i].audio.samples[k]), 2);
        }
        return energy / static_cast<double>(last - first);
      };
      CHECK(level(speech.start_s, speech.end_s) > 50 * level(speech.start_s - 0.2, speech.start_s));
      CHECK(level(speech.start_s, speech.end_s) > 50 * level(speech.end_s, speech.end_s + 0.2));
    }
  }
}

TEST_CASE("nothing found is no bias") {
  const auto scenes = SyntheticScenes();
  base::Audio silence{std::vector<float>(16'000, 0.0F), 16'000};
  const DetectorError error =
      MeasureDetector(annotate::EnergyVad(), {{"silence", silence, {{0.2, 0.8}}}});
  CHECK(error.expected == 1);
  CHECK(error.found == 0);
  CHECK_FALSE(error.onset_bias_s);
}

}  // namespace
}  // namespace ppx::evaluate
