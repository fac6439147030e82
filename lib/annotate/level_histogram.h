// lib/annotate/level_histogram.h: percentiles of levels that come and go. Inside this library only.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace ppx::annotate {

// What a step of digital silence has for its level, in dB re full scale; real ones are above.
inline constexpr double kSilentDb = -100.0;

// dB re full scale of a mean square.
inline double LevelDb(double mean_square) {
  return mean_square > 0 ? std::max(kSilentDb, 10.0 * std::log10(mean_square)) : kSilentDb;
}

// A percentile of the levels that are in it, to half a decibel. Digital silence is left out.
class LevelHistogram {
 public:
  void Add(double level_db) { Change(level_db, 1); }
  void Remove(double level_db) { Change(level_db, -1); }

  int64_t count() const { return total_; }

  // `fallback` where there are no levels.
  double Percentile(double share, double fallback) const {
    if (total_ == 0) return fallback;
    const auto rank = static_cast<int64_t>(share * static_cast<double>(total_ - 1));
    int64_t below = 0;
    for (size_t bin = 0; bin < kBins; ++bin) {
      below += counts_[bin];
      if (below > rank) return kSilentDb + kBinDb * (static_cast<double>(bin) + 0.5);
    }
    return fallback;
  }

 private:
  static constexpr double kBinDb = 0.5;
  static constexpr size_t kBins = 220;  // to +10 dB

  void Change(double level_db, int64_t by) {
    if (level_db <= kSilentDb) return;
    const auto bin = static_cast<size_t>((level_db - kSilentDb) / kBinDb);
    counts_[std::min(bin, kBins - 1)] += by;
    total_ += by;
  }

  std::array<int64_t, kBins> counts_{};
  int64_t total_ = 0;
};

}  // namespace ppx::annotate
