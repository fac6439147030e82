#include "metrics/takeover.h"

#include <algorithm>

namespace ppx::metrics {
namespace {

constexpr double kShortS = 1.0;
constexpr size_t kFewWords = 3;

}  // namespace

Scored TakeoverOf(std::span<const base::Chunk> words) {
  if (words.empty()) return Scored::Of(0);
  const bool inner_end_missing = std::any_of(words.begin(), words.end() - 1,
                                             [](const base::Chunk& word) { return !word.end_s; });
  const base::Chunk& last = words.back();
  const auto end = last.end_s ? last.end_s : last.start_s;
  if (inner_end_missing || !words.front().start_s || !end) return Scored::Not("missing_time");
  const double duration_s = *end - *words.front().start_s;
  return Scored::Of(duration_s < kShortS && words.size() <= kFewWords ? 0 : 1);
}

Scored ResponseLatencyOf(std::span<const base::Chunk> words, const Scored& takeover,
                         double reference_s, NegativeLatency negative) {
  if (!takeover.value) return takeover;
  if (*takeover.value == 0.0) return Scored::Not("no_takeover");
  const double latency_s = *words.front().start_s - reference_s;
  if (latency_s >= 0) return Scored::Of(latency_s);
  return negative == NegativeLatency::kZero ? Scored::Of(0) : Scored::Not("negative_latency");
}

Scored MarkedTakeover(const Scored& takeover, bool marked) {
  return !marked && takeover.value == 1.0 ? Scored::Not("no_judge_mark") : takeover;
}

}  // namespace ppx::metrics
