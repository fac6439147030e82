// lib/script/noise.h: noise that is the same on every machine. Inside this library only.
//
// White noise is a sum of four uniform whole numbers a sample, nearly normal. Pink noise is the sum
// of 16 such sources, source k changing every 2^k samples, and a white one: after R. F. Voss and
// M. Gardner's method as J. McCartney arranged it, -3 dB an octave from about rate / 2^16 up to
// half the rate, within a decibel or two. Both are sums of whole numbers, exact in any order. A
// noise file begins at a place drawn from the seed and goes round.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <span>

#include "script/dialogue_script.h"

namespace ppx::script {

class Noise {
 public:
  // `file` [N >= 1]: for kFile, at its level, outlives this; `rms` is the level of the others.
  Noise(NoiseKind kind, double rms, std::span<const float> file, uint64_t seed);

  // Adds the next samples to `out`.
  void Add(std::span<float> out);

 private:
  static constexpr size_t kRows = 16;

  int64_t Draw();
  int64_t NextPink();

  NoiseKind kind_;
  double scale_;
  std::span<const float> file_;
  std::mt19937_64 random_;
  size_t at_ = 0;  // in the file
  uint64_t count_ = 0;
  std::array<int64_t, kRows> rows_{};
};

}  // namespace ppx::script
