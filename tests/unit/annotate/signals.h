// tests/unit/annotate/signals.h: sounds made by arithmetic, the same on every machine.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <vector>

#include "base/timeline.h"

namespace ppx::testing {

inline base::Audio Silence(double seconds, int rate_hz) {
  return {std::vector<float>(static_cast<size_t>(std::lround(seconds * rate_hz)), 0.0F), rate_hz};
}

// `wave(t)` at every sample's time.
template <typename Wave>
base::Audio Sound(double seconds, int rate_hz, Wave wave) {
  base::Audio audio = Silence(seconds, rate_hz);
  for (size_t i = 0; i < audio.samples.size(); ++i) {
    audio.samples[i] = static_cast<float>(wave(static_cast<double>(i) / rate_hz));
  }
  return audio;
}

inline base::Audio Tone(double hz, double seconds, int rate_hz, double amplitude = 0.5) {
  return Sound(seconds, rate_hz,
               [=](double t) { return amplitude * std::sin(2 * std::numbers::pi * hz * t); });
}

// Uniform and white, of this RMS.
inline base::Audio Noise(double rms, double seconds, int rate_hz, uint64_t seed = 1) {
  return Sound(seconds, rate_hz, [=, state = seed](double) mutable {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const double uniform = static_cast<double>(state >> 40) / (1 << 23) - 1.0;
    return rms * std::sqrt(3.0) * uniform;
  });
}

// Harmonics 1 .. count of `hz` at the amplitudes that `amplitude(k)` gives.
template <typename Amplitude>
base::Audio Harmonics(double hz, int count, double seconds, int rate_hz, Amplitude amplitude) {
  return Sound(seconds, rate_hz, [=](double t) {
    double sum = 0;
    for (int k = 1; k <= count; ++k) {
      sum += amplitude(k) * std::cos(2 * std::numbers::pi * hz * k * t + 0.7 * k * k);
    }
    return sum;
  });
}

inline base::Audio Joined(std::vector<base::Audio> parts) {
  base::Audio all = parts.front();
  for (size_t i = 1; i < parts.size(); ++i) {
    all.samples.insert(all.samples.end(), parts[i].samples.begin(), parts[i].samples.end());
  }
  return all;
}

// `a` with `b` added from `at_s` on; `b` must end within `a`.
inline base::Audio Mixed(base::Audio a, const base::Audio& b, double at_s = 0) {
  const auto first = static_cast<size_t>(std::lround(at_s * a.sample_rate_hz));
  for (size_t i = 0; i < b.samples.size(); ++i) a.samples.at(first + i) += b.samples[i];
  return a;
}

}  // namespace ppx::testing
