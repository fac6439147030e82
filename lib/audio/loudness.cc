#include "audio/loudness.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace ppx::audio {
namespace {

constexpr double kBlockS = 0.4;
constexpr double kStep = 0.25;  // of a block
constexpr double kAbsoluteGateLufs = -70.0;
constexpr double kRelativeGateLu = -10.0;
constexpr double kOffsetLufs = -0.691;
constexpr double kShelfHz = 1500.0;
constexpr double kShelfDb = 4.0;
constexpr double kShelfQ = 1.0 / std::numbers::sqrt2;
constexpr double kHighPassHz = 38.0;
constexpr double kHighPassQ = 0.5;

// A second-order filter in transposed direct form II, coefficients divided by a0.
class Biquad {
 public:
  Biquad(double b0, double b1, double b2, double a0, double a1, double a2)
      : b0_(b0 / a0), b1_(b1 / a0), b2_(b2 / a0), a1_(a1 / a0), a2_(a2 / a0) {}

  double Step(double in) {
    const double out = b0_ * in + z1_;
    z1_ = b1_ * in - a1_ * out + z2_;
    z2_ = b2_ * in - a2_ * out;
    return out;
  }

 private:
  double b0_, b1_, b2_, a1_, a2_;
  double z1_ = 0.0;
  double z2_ = 0.0;
};

// Both from R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients".
Biquad HighShelf(int rate_hz) {
  const double a = std::pow(10.0, kShelfDb / 40.0);
  const double w0 = 2.0 * std::numbers::pi * kShelfHz / rate_hz;
  const double c = std::cos(w0);
  const double k = 2.0 * std::sqrt(a) * std::sin(w0) / (2.0 * kShelfQ);
  return Biquad(a * ((a + 1) + (a - 1) * c + k), -2 * a * ((a - 1) + (a + 1) * c),
                a * ((a + 1) + (a - 1) * c - k), (a + 1) - (a - 1) * c + k,
                2 * ((a - 1) - (a + 1) * c), (a + 1) - (a - 1) * c - k);
}

Biquad HighPass(int rate_hz) {
  const double w0 = 2.0 * std::numbers::pi * kHighPassHz / rate_hz;
  const double c = std::cos(w0);
  const double alpha = std::sin(w0) / (2.0 * kHighPassQ);
  return Biquad((1 + c) / 2, -(1 + c), (1 + c) / 2, 1 + alpha, -2 * c, 1 - alpha);
}

double ToLufs(double mean_square) { return kOffsetLufs + 10.0 * std::log10(mean_square); }

// Mean squares of the K-weighted blocks, in one pass over the samples.
std::vector<double> BlockMeanSquares(std::span<const float> samples, int rate_hz) {
  const double duration_s = static_cast<double>(samples.size()) / rate_hz;
  const auto count =
      static_cast<size_t>(std::nearbyint((duration_s - kBlockS) / (kBlockS * kStep)) + 1.0);
  // The boundaries are truncated products in this very order: a boundary one sample off changes the
  // loudness.
  const auto block_start = [rate_hz](size_t j) {
    return static_cast<size_t>(kBlockS * (static_cast<double>(j) * kStep) * rate_hz);
  };
  const auto block_end = [rate_hz](size_t j) {
    return static_cast<size_t>(kBlockS * (static_cast<double>(j) * kStep + 1.0) * rate_hz);
  };
  Biquad shelf = HighShelf(rate_hz);
  Biquad high_pass = HighPass(rate_hz);
  std::vector<double> sums(count, 0.0);
  size_t first = 0;  // blocks first .. next - 1 hold the current sample
  size_t next = 0;
  size_t next_start = block_start(0);
  size_t first_end = block_end(0);
  for (size_t i = 0; i < samples.size(); ++i) {
    const double weighted = high_pass.Step(shelf.Step(static_cast<double>(samples[i])));
    while (next < count && i >= next_start) {
      next_start = block_start(++next);
    }
    while (first < next && i >= first_end) {
      first_end = block_end(++first);
    }
    for (size_t j = first; j < next; ++j) {
      sums[j] += weighted * weighted;
    }
  }
  for (double& sum : sums) {
    sum /= kBlockS * rate_hz;
  }
  return sums;
}

// Mean of the blocks that `passes` accepts; no value where it accepts none.
template <typename Predicate>
std::optional<double> MeanWhere(const std::vector<double>& mean_squares, Predicate passes) {
  double sum = 0.0;
  size_t count = 0;
  for (const double mean_square : mean_squares) {
    if (passes(ToLufs(mean_square))) {
      sum += mean_square;
      ++count;
    }
  }
  return count > 0 ? std::optional(sum / static_cast<double>(count)) : std::nullopt;
}

}  // namespace

std::optional<double> IntegratedLoudnessLufs(std::span<const float> samples, int rate_hz) {
  if (rate_hz <= 2 * kShelfHz) {
    base::ThrowBadInput(fmt::format(
        "audio at {} Hz has no loudness; resample it to more than 3000 Hz first", rate_hz));
  }
  if (static_cast<double>(samples.size()) < kBlockS * rate_hz) {
    return std::nullopt;
  }
  const std::vector<double> mean_squares = BlockMeanSquares(samples, rate_hz);
  const auto above_absolute = [](double lufs) { return lufs >= kAbsoluteGateLufs; };
  const std::optional<double> ungated = MeanWhere(mean_squares, above_absolute);
  if (!ungated) {
    return -std::numeric_limits<double>::infinity();
  }
  const double relative_gate = ToLufs(*ungated) + kRelativeGateLu;
  const std::optional<double> gated = MeanWhere(
      mean_squares, [&](double lufs) { return lufs > relative_gate && lufs > kAbsoluteGateLufs; });
  return gated ? ToLufs(*gated) : -std::numeric_limits<double>::infinity();
}

LoudnessGain NormalizeLoudness(std::vector<float>& samples, int rate_hz, double target_lufs) {
  LoudnessGain result;
  result.input_lufs = IntegratedLoudnessLufs(samples, rate_hz);
  if (!result.input_lufs || !std::isfinite(*result.input_lufs)) {
    return result;
  }
  result.applied = true;
  result.gain = std::pow(10.0, (target_lufs - *result.input_lufs) / 20.0);
  for (float& sample : samples) {
    sample *= static_cast<float>(result.gain);
  }
  return result;
}

}  // namespace ppx::audio
