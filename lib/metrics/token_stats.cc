#include "metrics/token_stats.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace ppx::metrics {
namespace {

double EntropyBits(const std::map<int32_t, int64_t>& counts, size_t total) {
  double bits = 0;
  for (const auto& [token, count] : counts) {
    const double share = static_cast<double>(count) / static_cast<double>(total);
    bits -= share * std::log2(share);
  }
  return bits;
}

}  // namespace

size_t LongestRepeat(const TokenRows& rows) {
  size_t longest = std::min<size_t>(rows.frames(), 1);
  size_t run = 1;
  for (size_t frame = 1; frame < rows.frames(); ++frame) {
    const auto now = rows.tokens.subspan(frame * rows.codebooks, rows.codebooks);
    const auto before = rows.tokens.subspan((frame - 1) * rows.codebooks, rows.codebooks);
    run = std::equal(now.begin(), now.end(), before.begin()) ? run + 1 : 1;
    longest = std::max(longest, run);
  }
  return longest;
}

std::optional<double> LeastEntropyBits(const TokenRows& rows, size_t window) {
  if (window == 0 || rows.frames() < window) return std::nullopt;
  std::optional<double> least;
  std::map<int32_t, int64_t> counts;
  for (size_t frame = 0; frame < rows.frames(); ++frame) {
    ++counts[rows.tokens[frame * rows.codebooks]];
    if (frame >= window) {
      const auto left = counts.find(rows.tokens[(frame - window) * rows.codebooks]);
      if (--left->second == 0) counts.erase(left);
    }
    if (frame + 1 < window) continue;
    const double bits = EntropyBits(counts, window);
    if (!least || bits < *least) least = bits;
  }
  return least;
}

}  // namespace ppx::metrics
