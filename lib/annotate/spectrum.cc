#include "annotate/spectrum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "annotate/real_fft.h"
#include "base/error.h"

namespace ppx::annotate {
namespace {

constexpr double kLowHz = 100.0;
constexpr double kHighHz = 8000.0;
constexpr int kMinRateHz = 1000;

double Flatness(std::span<const double> power) {
  double log_sum = 0;
  double sum = 0;
  for (const double value : power) {
    if (!(value > 0)) return 0;
    log_sum += std::log(value);
    sum += value;
  }
  const auto count = static_cast<double>(power.size());
  return std::exp(log_sum / count) / (sum / count);
}

// Of a frame less its mean, which is taken off `frame`.
double CentredLevelDb(std::span<double> frame) {
  const auto count = static_cast<double>(frame.size());
  double mean = 0;
  for (const double sample : frame) mean += sample / count;
  double square = 0;
  for (double& sample : frame) {
    sample -= mean;
    square += sample * sample / count;
  }
  return 10 * std::log10(square);  // minus infinity without energy
}

}  // namespace

std::vector<std::optional<double>> FlatnessTrack(const base::Audio& audio, double silence_db) {
  const int rate_hz = audio.sample_rate_hz;
  if (rate_hz < kMinRateHz) {
    base::ThrowBadInput(fmt::format(
        "audio at {} Hz has no spectrum worth the name; {} Hz is the least", rate_hz, kMinRateHz));
  }
  const auto frame = static_cast<size_t>(std::lround(kFlatnessFrameS * rate_hz));
  const double step = kFlatnessStepS * rate_hz;
  RealFft fft(RealFft::FastSize(static_cast<int>(frame)));
  const double bin_hz = static_cast<double>(rate_hz) / fft.size();
  const auto low = static_cast<size_t>(std::ceil(kLowHz / bin_hz));
  // Without the bin at half the rate: it is real, and scatters more than the others.
  const auto high = static_cast<size_t>(
      std::min(std::floor(kHighHz / bin_hz), static_cast<double>(fft.size()) / 2 - 1));

  std::vector<double> window(frame);
  for (size_t i = 0; i < frame; ++i) {
    const double phase = (static_cast<double>(i) + 0.5) / static_cast<double>(frame);
    window[i] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * phase);
  }
  std::vector<std::optional<double>> track;
  std::vector<double> centred(frame);
  std::vector<float> windowed(frame);
  for (size_t i = 0;; ++i) {
    const auto start = static_cast<size_t>(std::lround(static_cast<double>(i) * step));
    if (start + frame > audio.samples.size()) return track;
    std::copy_n(audio.samples.begin() + static_cast<std::ptrdiff_t>(start), frame, centred.begin());
    if (!(CentredLevelDb(centred) >= silence_db)) {
      track.emplace_back();
      continue;
    }
    for (size_t k = 0; k < frame; ++k) windowed[k] = static_cast<float>(centred[k] * window[k]);
    track.emplace_back(Flatness(fft.Power(windowed).subspan(low, high - low + 1)));
  }
}

double LongestFlatStretch(const base::Audio& audio, double flatness, double silence_db) {
  int64_t longest = 0;
  int64_t run = 0;
  for (const auto& value : FlatnessTrack(audio, silence_db)) {
    run = value && *value > flatness ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  if (longest == 0) return 0;
  return static_cast<double>(longest - 1) * kFlatnessStepS + kFlatnessFrameS;
}

int64_t ClippedSamples(std::span<const float> samples) {
  constexpr float kFullScale = 32767.0F / 32768.0F;
  return std::count_if(samples.begin(), samples.end(),
                       [](float sample) { return std::abs(sample) >= kFullScale; });
}

}  // namespace ppx::annotate
