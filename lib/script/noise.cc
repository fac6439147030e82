#include "script/noise.h"

#include <bit>
#include <cmath>
#include <numeric>

namespace ppx::script {
namespace {

constexpr int kParts = 4;  // 16-bit numbers in a draw
constexpr double kPartValues = 65536;

}  // namespace

Noise::Noise(NoiseKind kind, double rms, std::span<const float> file, uint64_t seed)
    : kind_(kind), file_(file), random_(seed) {
  const double white_rms = std::sqrt(kParts * (kPartValues * kPartValues - 1) / 12);
  const double sources = kind == NoiseKind::kPink ? static_cast<double>(kRows) + 1 : 1;
  scale_ = rms / (white_rms * std::sqrt(sources));
  if (kind == NoiseKind::kFile) {
    at_ = static_cast<size_t>(random_() % file_.size());
  } else if (kind == NoiseKind::kPink) {
    for (int64_t& row : rows_) row = Draw();
  }
}

int64_t Noise::Draw() {
  uint64_t bits = random_();
  int64_t sum = 0;
  for (int part = 0; part < kParts; ++part, bits >>= 16) sum += static_cast<int64_t>(bits & 0xFFFF);
  return sum - kParts * 0xFFFF / 2;
}

int64_t Noise::NextPink() {
  const auto row = static_cast<size_t>(std::countr_zero(++count_));
  if (row < kRows) rows_[row] = Draw();
  return std::accumulate(rows_.begin(), rows_.end(), Draw());
}

void Noise::Add(std::span<float> out) {
  for (float& sample : out) {
    if (kind_ == NoiseKind::kFile) {
      sample += file_[at_];
      at_ = at_ + 1 < file_.size() ? at_ + 1 : 0;
      continue;
    }
    const int64_t value = kind_ == NoiseKind::kPink ? NextPink() : Draw();
    sample += static_cast<float>(static_cast<double>(value) * scale_);
  }
}

}  // namespace ppx::script
