#include "evaluate/selftest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/uniform_real_distribution.hpp>
#include <cmath>
#include <numbers>

#include "evaluate/json_cache.h"
#include "metrics/descriptive.h"

namespace ppx::evaluate {
namespace {

constexpr double kRampS = 0.005;
constexpr double kTwoPi = 2 * std::numbers::pi;

// Resonators of a vowel, in series with a pulse train: Hz and bandwidths after Peterson and Barney
// 1952.
struct Vowel {
  std::array<double, 3> formants_hz;
};
constexpr std::array<Vowel, 4> kVowels{
    {{{730, 1090, 2440}}, {{270, 2290, 3010}}, {{300, 870, 2240}}, {{530, 1840, 2480}}}};
constexpr std::array<double, 3> kBandwidthsHz{80, 100, 140};

struct Resonator {
  double a1 = 0, a2 = 0, gain = 1, y1 = 0, y2 = 0;
  void Tune(double hz, double bandwidth_hz, int rate_hz) {
    const double radius = std::exp(-std::numbers::pi * bandwidth_hz / rate_hz);
    a1 = 2 * radius * std::cos(kTwoPi * hz / rate_hz);
    a2 = -radius * radius;
    gain = 1 - a1 - a2;
  }
  double Step(double x) {
    const double y = gain * x + a1 * y1 + a2 * y2;
    y2 = y1;
    y1 = y;
    return y;
  }
};

// A voice that sings vowels; about unit RMS.
std::vector<double> Voice(size_t samples, int rate_hz, double pitch_hz, size_t first_vowel) {
  std::array<Resonator, 3> tract;
  std::vector<double> voice(samples);
  const double vowel_samples = 0.15 * rate_hz;
  double phase = 0;
  double energy = 0;
  for (size_t i = 0; i < samples; ++i) {
    const double time = static_cast<double>(i) / vowel_samples;
    const size_t now = (first_vowel + static_cast<size_t>(time)) % kVowels.size();
    const size_t next = (now + 1) % kVowels.size();
    const double blend = time - std::floor(time);
    for (size_t k = 0; k < tract.size(); ++k) {
      const double hz =
          kVowels[now].formants_hz[k] * (1 - blend) + kVowels[next].formants_hz[k] * blend;
      tract[k].Tune(hz, kBandwidthsHz[k], rate_hz);
    }
    constexpr double kVibrato = 0.03;
    phase += pitch_hz * (1 + kVibrato * std::sin(kTwoPi * 5 * static_cast<double>(i) / rate_hz)) /
             rate_hz;
    double sample = phase >= 1 ? 1 : 0;
    if (phase >= 1) phase -= 1;
    for (Resonator& resonator : tract) sample = resonator.Step(sample);
    voice[i] = sample;
    energy += sample * sample;
  }
  const double rms = std::sqrt(energy / static_cast<double>(samples));
  for (double& sample : voice) sample /= rms;
  return voice;
}

Scene MakeScene(int rate_hz, double level_db, double noise_db, double pitch_hz, uint32_t seed) {
  boost::random::mt19937 generator(seed);
  boost::random::uniform_real_distribution<double> uniform(-1, 1);
  boost::random::uniform_real_distribution<double> length_s(0.6, 2.0);
  boost::random::uniform_real_distribution<double> silence_s(0.7, 1.8);
  constexpr int kBursts = 4;
  Scene scene;
  scene.name = fmt::format("voice of {} Hz at {} dB, noise at {} dB, {} Hz", pitch_hz, level_db,
                           noise_db, rate_hz);
  scene.audio.sample_rate_hz = rate_hz;
  std::vector<double> samples;
  const auto silence = [&] {
    samples.resize(samples.size() + static_cast<size_t>(silence_s(generator) * rate_hz), 0.0);
  };
  const double gain = std::pow(10.0, level_db / 20);
  silence();
  for (int burst = 0; burst < kBursts; ++burst) {
    const auto length = static_cast<size_t>(length_s(generator) * rate_hz);
    const auto ramp = static_cast<size_t>(kRampS * rate_hz);
    const auto voice = Voice(length, rate_hz, pitch_hz, static_cast<size_t>(burst));
    scene.speech.push_back({static_cast<double>(samples.size()) / rate_hz,
                            static_cast<double>(samples.size() + length) / rate_hz});
    for (size_t i = 0; i < length; ++i) {
      const size_t edge = std::min(i, length - 1 - i);
      const double fade = std::min(1.0, static_cast<double>(edge) / static_cast<double>(ramp));
      samples.push_back(gain * fade * voice[i]);
    }
    silence();
  }
  const double noise = std::pow(10.0, noise_db / 20) * std::sqrt(3.0);  // uniform: RMS is 1/sqrt 3
  for (const double sample : samples) {
    scene.audio.samples.push_back(static_cast<float>(sample + noise * uniform(generator)));
  }
  return scene;
}

void Summarise(const std::vector<double>& errors_s, std::optional<double>& bias_s,
               std::optional<double>& sd_s, std::optional<double>& worst_s) {
  if (errors_s.empty()) return;
  bias_s = metrics::Mean(errors_s);
  sd_s = metrics::PopulationSd(errors_s);
  worst_s = *std::max_element(errors_s.begin(), errors_s.end(),
                              [](double a, double b) { return std::abs(a) < std::abs(b); });
}

constexpr int kScenesVersion = 1;  // rises with every change of the scenes or of what is measured

nlohmann::json Maybe(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

std::optional<DetectorError> FromJson(const nlohmann::json& json) {
  const auto maybe = [](const nlohmann::json& value) {
    return value.is_null() ? std::nullopt : std::optional(value.get<double>());
  };
  try {
    DetectorError error;
    error.expected = json.at("segments");
    error.found = json.at("found");
    error.extra = json.at("extra");
    const nlohmann::json& onset = json.at("onset_s");
    const nlohmann::json& offset = json.at("offset_s");
    error.onset_bias_s = maybe(onset.at("bias"));
    error.onset_sd_s = maybe(onset.at("sd"));
    error.onset_worst_s = maybe(onset.at("worst"));
    error.offset_bias_s = maybe(offset.at("bias"));
    error.offset_sd_s = maybe(offset.at("sd"));
    error.offset_worst_s = maybe(offset.at("worst"));
    return error;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

nlohmann::json ToJson(const DetectorError& error) {
  return {{"segments", error.expected},
          {"found", error.found},
          {"extra", error.extra},
          {"onset_s",
           {{"bias", Maybe(error.onset_bias_s)},
            {"sd", Maybe(error.onset_sd_s)},
            {"worst", Maybe(error.onset_worst_s)}}},
          {"offset_s",
           {{"bias", Maybe(error.offset_bias_s)},
            {"sd", Maybe(error.offset_sd_s)},
            {"worst", Maybe(error.offset_worst_s)}}}};
}

DetectorError DetectorErrorOf(const annotate::Vad& vad, const std::string& cache_folder) {
  const JsonCache cache(cache_folder, "detectors");
  const annotate::VadIdentity identity = vad.identity();
  const std::string key =
      fmt::format("{}|{}|{}|{}", kScenesVersion, identity.name, identity.version, identity.sha256);
  if (const auto entry = cache.Find(key)) {
    if (const auto error = FromJson(*entry)) return *error;
  }
  const DetectorError error = MeasureDetector(vad, SyntheticScenes());
  cache.Keep(key, ToJson(error));
  return error;
}

std::vector<Scene> SyntheticScenes() {
  std::vector<Scene> scenes;
  uint32_t seed = 1;
  for (const int rate_hz : {16'000, 24'000}) {
    for (const double level_db : {-20.0, -30.0}) {
      for (const double noise_db : {-70.0, -50.0}) {
        for (const double pitch_hz : {110.0, 210.0}) {
          scenes.push_back(MakeScene(rate_hz, level_db, noise_db, pitch_hz, seed++));
        }
      }
    }
  }
  return scenes;
}

DetectorError MeasureDetector(const annotate::Vad& vad, const std::vector<Scene>& scenes) {
  DetectorError error;
  std::vector<double> onsets_s;
  std::vector<double> offsets_s;
  for (const Scene& scene : scenes) {
    const auto detected = vad.Detect(scene.audio);
    std::vector<bool> used(detected.size(), false);
    for (const base::Segment& truth : scene.speech) {
      ++error.expected;
      std::optional<base::Segment> found;
      for (size_t i = 0; i < detected.size(); ++i) {
        if (detected[i].end_s <= truth.start_s || detected[i].start_s >= truth.end_s) continue;
        used[i] = true;
        if (!found) found = detected[i];
        found->end_s = detected[i].end_s;
      }
      if (!found) continue;
      ++error.found;
      onsets_s.push_back(found->start_s - truth.start_s);
      offsets_s.push_back(found->end_s - truth.end_s);
    }
    error.extra += std::count(used.begin(), used.end(), false);
  }
  Summarise(onsets_s, error.onset_bias_s, error.onset_sd_s, error.onset_worst_s);
  Summarise(offsets_s, error.offset_bias_s, error.offset_sd_s, error.offset_worst_s);
  return error;
}

}  // namespace ppx::evaluate
