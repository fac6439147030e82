#include "script/noise.h"

#include <cmath>
#include <vector>

#include "support/doctest.h"

namespace ppx::script {
namespace {

std::vector<float> Make(NoiseKind kind, double rms, uint64_t seed, size_t count = 1 << 16,
                        std::span<const float> file = {}) {
  std::vector<float> samples(count, 0.0F);
  Noise(kind, rms, file, seed).Add(samples);
  return samples;
}

double Rms(std::span<const float> samples) {
  double sum = 0;
  for (const float s : samples) sum += static_cast<double>(s) * static_cast<double>(s);
  return std::sqrt(sum / static_cast<double>(samples.size()));
}

// Mean square of the differences of samples `lag` apart, over the mean square: 2 for white noise.
double Roughness(std::span<const float> samples, size_t lag) {
  double sum = 0;
  for (size_t i = lag; i < samples.size(); ++i) {
    const double step = static_cast<double>(samples[i]) - static_cast<double>(samples[i - lag]);
    sum += step * step;
  }
  return sum / static_cast<double>(samples.size() - lag) / std::pow(Rms(samples), 2);
}

TEST_CASE("levels are as asked for, and kinds sound different") {
  const auto white = Make(NoiseKind::kWhite, 0.1, 3);
  CHECK(Rms(white) == doctest::Approx(0.1).epsilon(0.02));
  CHECK(Roughness(white, 1) == doctest::Approx(2).epsilon(0.03));
  // Slow rows wander, so one piece of pink noise is off by more.
  const auto pink = Make(NoiseKind::kPink, 0.1, 3, 1 << 19);
  CHECK(Rms(pink) == doctest::Approx(0.1).epsilon(0.15));
  CHECK(Roughness(pink, 1) < 0.5);
  CHECK(Roughness(pink, 64) > 2 * Roughness(pink, 1));
}

TEST_CASE("the same seed gives the same samples, in any pieces; another one others") {
  for (const NoiseKind kind : {NoiseKind::kWhite, NoiseKind::kPink}) {
    const auto whole = Make(kind, 0.1, 5, 5000);
    CHECK(whole == Make(kind, 0.1, 5, 5000));
    CHECK(whole != Make(kind, 0.1, 6, 5000));
    std::vector<float> pieces(5000, 0.0F);
    Noise noise(kind, 0.1, {}, 5);
    for (size_t at = 0; at < pieces.size(); at += 625)
      noise.Add(std::span(pieces).subspan(at, 625));
    CHECK(pieces == whole);
  }
}

// Exact sums of whole numbers and one multiplication: the bits of every machine.
TEST_CASE("first samples of white noise are known") {
  std::mt19937_64 random(9);
  const auto noise = Make(NoiseKind::kWhite, 1, 9, 3);
  for (const float sample : noise) {
    const uint64_t bits = random();
    int64_t sum = -131070;
    for (int part = 0; part < 4; ++part) sum += static_cast<int64_t>(bits >> (16 * part) & 0xFFFF);
    const double unit = 1 / std::sqrt(4 * (65536.0 * 65536.0 - 1) / 12);
    CHECK(sample == doctest::Approx(static_cast<double>(sum) * unit).epsilon(1e-6));
  }
}

TEST_CASE("a file goes round, from a place that the seed draws, and is added to what is there") {
  const std::vector<float> file{1, 2, 3, 4, 5};
  std::vector<float> out(12, 10.0F);
  Noise(NoiseKind::kFile, 1, file, 2).Add(out);
  const auto first = static_cast<size_t>(out[0] - 11.0F);
  CHECK(first < file.size());
  for (size_t i = 0; i < out.size(); ++i) CHECK(out[i] == 10.0F + file[(first + i) % file.size()]);
  bool moved = false;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    moved = moved || Make(NoiseKind::kFile, 1, seed, 12, file)[0] != out[0] - 10.0F;
  }
  CHECK(moved);
}

}  // namespace
}  // namespace ppx::script
