#include "evaluate/audio_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "annotate/segments.h"
#include "annotate/spectrum.h"
#include "audio/loudness.h"
#include "audio/wav_reader.h"
#include "base/digest.h"

namespace ppx::evaluate {
namespace {

using Json = nlohmann::json;

// Rises whenever the same file gives other facts: entries of older versions are not used.
constexpr int kFactsVersion = 1;
constexpr int kBenchmarkRateHz = 16'000;
constexpr double kFrameS = 0.08;
constexpr double kFlatness = 0.3;
// Two frames sound the same where their difference is 40 dB below them.
constexpr double kSameRatio = 0.01;
constexpr double kSilentPeak = 1e-3;

double LongestRepeat(const base::Audio& audio) {
  const auto frame = static_cast<size_t>(std::lround(kFrameS * audio.sample_rate_hz));
  int longest = 0;
  int run = 1;
  for (size_t at = frame; at + frame <= audio.samples.size(); at += frame) {
    double difference = 0;
    double energy = 0;
    float peak = 0;
    for (size_t i = at; i < at + frame; ++i) {
      const double now = audio.samples[i];
      const double before = audio.samples[i - frame];
      difference += (now - before) * (now - before);
      energy += now * now;
      peak = std::max(peak, std::abs(audio.samples[i]));
    }
    const bool same = peak > kSilentPeak && difference <= kSameRatio * kSameRatio * energy;
    run = same ? run + 1 : 1;
    if (run > 1) longest = std::max(longest, run);
  }
  return longest;
}

std::vector<base::Segment> OnBenchmarkAxis(const annotate::Vad& vad, base::Audio audio) {
  audio.sample_rate_hz = kBenchmarkRateHz;
  return annotate::RoundedToTenths(vad.Detect(audio), audio.duration_s());
}

Json ToJson(const std::vector<base::Segment>& segments) {
  Json json = Json::array();
  for (const base::Segment& segment : segments) json.push_back({segment.start_s, segment.end_s});
  return json;
}

std::vector<base::Segment> Segments(const Json& json) {
  std::vector<base::Segment> segments;
  for (const Json& pair : json) {
    segments.push_back({pair.at(0).get<double>(), pair.at(1).get<double>()});
  }
  return segments;
}

Json Encode(const AudioFacts& facts) {
  return {{"rate_hz", facts.rate_hz},
          {"samples", facts.samples},
          {"speech", ToJson(facts.speech)},
          {"benchmark_speech", ToJson(facts.benchmark_speech)},
          {"loudness_lufs", facts.loudness_lufs ? Json(*facts.loudness_lufs) : Json()},
          {"clipped_samples", facts.clipped_samples},
          {"noise_like_s", facts.noise_like_s},
          {"repeated_frames", facts.repeated_frames}};
}

// No value for a damaged entry: it is measured again.
std::optional<AudioFacts> Decode(const Json& json) {
  try {
    AudioFacts facts;
    facts.rate_hz = json.at("rate_hz");
    facts.samples = json.at("samples");
    facts.speech = Segments(json.at("speech"));
    facts.benchmark_speech = Segments(json.at("benchmark_speech"));
    const Json& loudness = json.at("loudness_lufs");
    if (!loudness.is_null()) facts.loudness_lufs = loudness.get<double>();
    facts.clipped_samples = json.at("clipped_samples");
    facts.noise_like_s = json.at("noise_like_s");
    facts.repeated_frames = json.at("repeated_frames");
    if (facts.rate_hz < 1 || facts.samples < 1) return std::nullopt;
    return facts;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

AudioAnalyst::AudioAnalyst(const annotate::Vad& vad, const std::string& cache_folder)
    : vad_(vad), cache_(cache_folder, "audio") {
  const annotate::VadIdentity identity = vad.identity();
  identity_ =
      fmt::format("{}|{}|{}|{}", kFactsVersion, identity.name, identity.version, identity.sha256);
}

AudioFacts AudioAnalyst::Analyse(const std::string& path, int channel, bool benchmark) const {
  if (!cache_.enabled()) return Measure(path, channel, benchmark);
  const std::string key =
      fmt::format("{}|{}|{}|{}", base::Sha256File(path), channel, benchmark, identity_);
  if (const auto entry = cache_.Find(key)) {
    if (auto facts = Decode(*entry)) return *std::move(facts);
  }
  AudioFacts facts = Measure(path, channel, benchmark);
  cache_.Keep(key, Encode(facts));
  return facts;
}

AudioFacts AudioAnalyst::Measure(const std::string& path, int channel, bool benchmark) const {
  const base::Audio audio = audio::ReadAudio(path, channel);
  AudioFacts facts;
  facts.rate_hz = audio.sample_rate_hz;
  facts.samples = static_cast<int64_t>(audio.samples.size());
  facts.speech = vad_.Detect(audio);
  if (benchmark) facts.benchmark_speech = OnBenchmarkAxis(vad_, audio);
  const auto loudness = audio::IntegratedLoudnessLufs(audio.samples, audio.sample_rate_hz);
  if (loudness && std::isfinite(*loudness)) facts.loudness_lufs = loudness;
  facts.clipped_samples = annotate::ClippedSamples(audio.samples);
  facts.noise_like_s = annotate::LongestFlatStretch(audio, kFlatness);
  facts.repeated_frames = LongestRepeat(audio);
  return facts;
}

}  // namespace ppx::evaluate
