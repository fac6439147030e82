#include "annotate/prosody.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "annotate/real_fft.h"
#include "base/error.h"

namespace ppx::annotate {
namespace {

constexpr double kPeriodsInWindow = 3.0;
constexpr double kMaxHarmonicHz = 5000.0;
constexpr double kLagsPerSecond = 40'000.0;
constexpr double kIntensityWindowS = 0.064;
constexpr double kReferencePressure = 2e-5;
constexpr double kPi = std::numbers::pi;

// Frames of `frame` samples every `step` that fit, as far apart from the start as from the end.
struct Raster {
  int64_t count = 0;
  double first = 0;  // where the first frame begins

  Raster(size_t samples, size_t frame, double step) {
    if (samples < frame) return;
    const auto room = static_cast<double>(samples - frame);
    // Not to lose the last frame to the rounding of a step like 0.01 s.
    constexpr double kTolerance = 1e-9;
    count = static_cast<int64_t>(room / step + kTolerance) + 1;
    first = std::max(0.0, (room - static_cast<double>(count - 1) * step) / 2);
  }
  size_t Start(int64_t i, double step) const {
    return static_cast<size_t>(first + static_cast<double>(i) * step + 1e-9);
  }
};

struct Candidate {
  double hz = 0;  // 0: unvoiced
  double strength = 0;
};

void CheckOptions(int rate_hz, const PitchOptions& o) {
  if (!(o.floor_hz > 0) || !(o.ceiling_hz > o.floor_hz) || o.max_candidates < 2 ||
      !(o.silence_threshold > 0)) {
    base::ThrowInternal("pitch with options that contradict each other");
  }
  if (rate_hz < 4 * o.ceiling_hz) {
    base::ThrowBadInput(
        fmt::format("audio at {} Hz: pitch up to {} Hz is found at {} Hz and more; resample it "
                    "first",
                    rate_hz, o.ceiling_hz, 4 * o.ceiling_hz));
  }
}

// Autocorrelation of the Hann window of length 1 at the lag `x`, 1 at 0 (equation 8 of the paper).
double HannAutocorrelation(double x) {
  return (1 - x) * (2.0 / 3 + std::cos(2 * kPi * x) / 3) + std::sin(2 * kPi * x) / (2 * kPi);
}

// The candidates of one frame after another.
class PitchAnalyser {
 public:
  PitchAnalyser(int rate_hz, size_t frame, double global_peak, const PitchOptions& options)
      : options_(options),
        global_peak_(global_peak),
        half_period_(static_cast<size_t>(rate_hz / options.floor_hz / 2)),
        fft_(RealFft::FastSize(static_cast<int>(frame + 2 * half_period_ + 1))),
        bins_(static_cast<size_t>(std::min(kMaxHarmonicHz, rate_hz / 2.0) * fft_.size() / rate_hz) +
              1),
        inverse_(
            RealFft::FastSize(static_cast<int>(std::ceil(kLagsPerSecond * fft_.size() / rate_hz)))),
        lag_s_(static_cast<double>(fft_.size()) / rate_hz / inverse_.size()),
        window_(frame),
        windowed_(frame) {
    for (size_t i = 0; i < frame; ++i) {
      const double phase = (static_cast<double>(i) + 0.5) / static_cast<double>(frame);
      window_[i] = 0.5 - 0.5 * std::cos(2 * kPi * phase);
    }
    const double window_s = static_cast<double>(frame) / rate_hz;
    // One point beyond the longest period, for the parabola.
    const auto lags = static_cast<size_t>(1 / options.floor_hz / lag_s_) + 3;
    correction_.reserve(lags);
    for (size_t k = 0; k < lags; ++k) {
      correction_.push_back(1 / HannAutocorrelation(static_cast<double>(k) * lag_s_ / window_s));
    }
    correlation_.resize(lags);
  }

  // The unvoiced one first.
  std::vector<Candidate> Candidates(std::span<const float> frame) {
    double mean = 0;
    for (const float sample : frame) mean += static_cast<double>(sample);
    mean /= static_cast<double>(frame.size());
    double peak = 0;
    const size_t middle = frame.size() / 2;
    for (size_t i = 0; i < frame.size(); ++i) {
      const double centred = static_cast<double>(frame[i]) - mean;
      windowed_[i] = static_cast<float>(centred * window_[i]);
      if (i + half_period_ >= middle && i <= middle + half_period_) {
        peak = std::max(peak, std::abs(centred));
      }
    }
    const double loudness = std::min(1.0, peak / global_peak_);
    const double quiet =
        2 - loudness / options_.silence_threshold * (1 + options_.voicing_threshold);
    std::vector<Candidate> candidates{{0.0, options_.voicing_threshold + std::max(0.0, quiet)}};
    if (Correlate()) AddMaxima(candidates);
    return candidates;
  }

 private:
  // False for a frame without energy.
  bool Correlate() {
    const auto power = fft_.Power(windowed_).first(bins_);
    const auto raw = inverse_.Autocorrelation(power);
    if (!(raw[0] > 0)) return false;
    for (size_t k = 0; k < correlation_.size(); ++k) {
      correlation_[k] = static_cast<double>(raw[k]) / static_cast<double>(raw[0]) * correction_[k];
    }
    return true;
  }

  void AddMaxima(std::vector<Candidate>& candidates) const {
    for (size_t k = 1; k + 1 < correlation_.size(); ++k) {
      const double before = correlation_[k - 1];
      const double here = correlation_[k];
      const double after = correlation_[k + 1];
      if (here <= options_.voicing_threshold / 2 || here <= before || here < after) continue;
      const double slope = (after - before) / 2;
      const double bend = 2 * here - before - after;
      const double lag_s = (static_cast<double>(k) + slope / bend) * lag_s_;
      const double hz = 1 / lag_s;
      if (hz < options_.floor_hz || hz > options_.ceiling_hz) continue;
      const double height = here + slope * slope / (2 * bend);
      // Of short windows the corrected correlation may exceed 1.
      const double correlation = height > 1 ? 1 / height : height;
      candidates.push_back(
          {hz, correlation - options_.octave_cost * std::log2(options_.ceiling_hz / hz)});
    }
    const auto wanted = static_cast<size_t>(options_.max_candidates);
    if (candidates.size() <= wanted) return;
    std::stable_sort(
        candidates.begin() + 1, candidates.end(),
        [](const Candidate& a, const Candidate& b) { return a.strength > b.strength; });
    candidates.resize(wanted);
  }

  PitchOptions options_;
  double global_peak_;
  size_t half_period_;
  RealFft fft_;
  size_t bins_;
  InverseRealFft inverse_;
  double lag_s_;
  std::vector<double> window_;
  std::vector<float> windowed_;
  std::vector<double> correction_;
  std::vector<double> correlation_;
};

double TransitionCost(const Candidate& from, const Candidate& to, const PitchOptions& options) {
  if (from.hz == 0 && to.hz == 0) return 0;
  if (from.hz == 0 || to.hz == 0) return options.voiced_unvoiced_cost;
  return options.octave_jump_cost * std::abs(std::log2(from.hz / to.hz));
}

// Viterbi: the path with the greatest sum of strengths less the costs of its transitions.
std::vector<std::optional<double>> BestPath(const std::vector<std::vector<Candidate>>& frames,
                                            const PitchOptions& options) {
  std::vector<std::vector<size_t>> came_from(frames.size());
  std::vector<double> scores;
  for (const Candidate& candidate : frames.front()) scores.push_back(candidate.strength);
  for (size_t i = 1; i < frames.size(); ++i) {
    std::vector<double> next(frames[i].size(), -std::numeric_limits<double>::infinity());
    came_from[i].resize(frames[i].size());
    for (size_t to = 0; to < frames[i].size(); ++to) {
      for (size_t from = 0; from < frames[i - 1].size(); ++from) {
        const double score = scores[from] + frames[i][to].strength -
                             TransitionCost(frames[i - 1][from], frames[i][to], options);
        if (score <= next[to]) continue;
        next[to] = score;
        came_from[i][to] = from;
      }
    }
    scores = std::move(next);
  }
  auto at = static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
  std::vector<std::optional<double>> path(frames.size());
  for (size_t i = frames.size(); i-- > 0;) {
    if (frames[i][at].hz > 0) path[i] = frames[i][at].hz;
    if (i > 0) at = came_from[i][at];
  }
  return path;
}

double GlobalPeak(std::span<const float> samples) {
  double mean = 0;
  for (const float sample : samples) mean += static_cast<double>(sample);
  mean /= static_cast<double>(samples.size());
  double peak = 0;
  for (const float sample : samples) {
    peak = std::max(peak, std::abs(static_cast<double>(sample) - mean));
  }
  return peak;
}

struct MeanAndSd {
  std::optional<double> mean;
  std::optional<double> sd;
};

MeanAndSd Summary(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto count = static_cast<double>(values.size());
  double mean = 0;
  for (const double value : values) mean += value / count;
  double square = 0;
  for (const double value : values) square += (value - mean) * (value - mean) / count;
  return {mean, std::sqrt(square)};
}

}  // namespace

PitchTrack TrackPitch(std::span<const float> samples, int rate_hz, const PitchOptions& options) {
  CheckOptions(rate_hz, options);
  const auto frame =
      static_cast<size_t>(std::lround(kPeriodsInWindow / options.floor_hz * rate_hz));
  const double step = kProsodyStepS * rate_hz;
  const Raster raster(samples.size(), frame, step);
  PitchTrack track;
  if (raster.count == 0) return track;
  track.first_s = (raster.first + static_cast<double>(frame) / 2) / rate_hz;
  const double global_peak = GlobalPeak(samples);
  if (!(global_peak > 0)) {
    track.hz.resize(static_cast<size_t>(raster.count));
    return track;
  }
  PitchAnalyser analyser(rate_hz, frame, global_peak, options);
  std::vector<std::vector<Candidate>> candidates;
  candidates.reserve(static_cast<size_t>(raster.count));
  for (int64_t i = 0; i < raster.count; ++i) {
    candidates.push_back(analyser.Candidates(samples.subspan(raster.Start(i, step), frame)));
  }
  track.hz = BestPath(candidates, options);
  return track;
}

std::vector<double> IntensityDb(std::span<const float> samples, int rate_hz) {
  if (rate_hz < 1) base::ThrowInternal("intensity at no sample rate");
  const auto frame =
      std::max<size_t>(1, static_cast<size_t>(std::lround(kIntensityWindowS * rate_hz)));
  const double step = kProsodyStepS * rate_hz;
  const Raster raster(samples.size(), frame, step);
  std::vector<double> window(frame);
  double weight = 0;
  for (size_t i = 0; i < frame; ++i) {
    const double x = 2 * (static_cast<double>(i) + 0.5) / static_cast<double>(frame) - 1;
    window[i] = std::cyl_bessel_i(0.0, (2 * kPi * kPi + 0.5) * std::sqrt(1 - x * x));
    weight += window[i];
  }
  std::vector<double> levels;
  levels.reserve(static_cast<size_t>(raster.count));
  for (int64_t i = 0; i < raster.count; ++i) {
    const auto part = samples.subspan(raster.Start(i, step), frame);
    const auto [low, high] = std::minmax_element(part.begin(), part.end());
    if (*low == *high) continue;
    double mean = 0;
    for (size_t k = 0; k < frame; ++k) mean += window[k] * static_cast<double>(part[k]) / weight;
    double square = 0;
    for (size_t k = 0; k < frame; ++k) {
      const double centred = static_cast<double>(part[k]) - mean;
      square += window[k] * centred * centred / weight;
    }
    levels.push_back(10 * std::log10(square / (kReferencePressure * kReferencePressure)));
  }
  return levels;
}

Prosody MeasureProsody(const base::Audio& audio, double start_s, double end_s,
                       const PitchOptions& options) {
  CheckOptions(audio.sample_rate_hz, options);
  const auto size = static_cast<double>(audio.samples.size());
  const double first = std::clamp(std::round(start_s * audio.sample_rate_hz), 0.0, size);
  const double last = std::clamp(std::round(end_s * audio.sample_rate_hz), 0.0, size);
  Prosody prosody;
  if (!(first < last)) return prosody;
  const auto range = std::span(audio.samples)
                         .subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
  const PitchTrack track = TrackPitch(range, audio.sample_rate_hz, options);
  std::vector<double> voiced;
  for (const auto& hz : track.hz) {
    if (hz) voiced.push_back(*hz);
  }
  prosody.frames = static_cast<int>(track.hz.size());
  prosody.voiced_frames = static_cast<int>(voiced.size());
  const MeanAndSd pitch = Summary(voiced);
  const MeanAndSd intensity = Summary(IntensityDb(range, audio.sample_rate_hz));
  prosody.pitch_mean_hz = pitch.mean;
  prosody.pitch_sd_hz = pitch.sd;
  prosody.intensity_mean_db = intensity.mean;
  prosody.intensity_sd_db = intensity.sd;
  return prosody;
}

}  // namespace ppx::annotate
