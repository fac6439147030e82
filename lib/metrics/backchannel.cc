#include "metrics/backchannel.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "metrics/distance.h"

namespace ppx::metrics {
namespace {

constexpr double kLongestBackchannelS = 3.0;
constexpr double kShortBackchannelS = 1.0;
constexpr int kFewWords = 2;
constexpr double kWindowS = 0.2;
// Keeps windows without a backchannel comparable; part of the benchmark's definition.
constexpr double kSmoothing = 1e-10;

bool Belongs(const base::Chunk& word, const base::Segment& segment) {
  if (!word.start_s) return false;
  const double x = *word.start_s;
  if (!word.end_s && x < segment.end_s) return false;
  const double y = word.end_s.value_or(x);
  return (x >= segment.start_s && y <= segment.end_s) ||
         (x <= segment.end_s && y > segment.end_s) || (x <= segment.start_s && y > segment.start_s);
}

double JsdToPeople(std::span<const base::Segment> backchannels,
                   std::span<const double> ground_truth, double duration_s) {
  std::vector<double> ours = BackchannelHistogram(backchannels, duration_s);
  for (double& count : ours) count += kSmoothing;
  return JensenShannonDistance(ours, ResizeLinear(ground_truth, ours.size()));
}

}  // namespace

std::vector<double> BackchannelHistogram(std::span<const base::Segment> segments,
                                         double duration_s) {
  std::vector<double> windows(static_cast<size_t>(duration_s / kWindowS) + 1, 0.0);
  for (const base::Segment& segment : segments) {
    const auto first = static_cast<size_t>(segment.start_s / kWindowS);
    const auto last = static_cast<size_t>(segment.end_s / kWindowS);
    for (size_t i = first; i <= last && i < windows.size(); ++i) windows[i] += 1;
  }
  return windows;
}

std::vector<double> ResizeLinear(std::span<const double> values, size_t count) {
  if (values.empty() || count == 0) base::ThrowInternal("nothing to interpolate");
  std::vector<double> resized(count, values.front());
  const auto steps = static_cast<double>(values.size() - 1);
  for (size_t i = 1; i < count; ++i) {
    const double at = steps * static_cast<double>(i) / static_cast<double>(count - 1);
    const auto below = std::min(static_cast<size_t>(at), values.size() - 1);
    const size_t above = std::min(below + 1, values.size() - 1);
    resized[i] =
        values[below] + (values[above] - values[below]) * (at - static_cast<double>(below));
  }
  return resized;
}

BackchannelScore ScoreBackchannels(std::span<const base::Segment> segments,
                                   std::span<const base::Chunk> words,
                                   std::span<const double> ground_truth, double duration_s,
                                   BackchannelRule rule) {
  if (!(duration_s > 0)) base::ThrowInternal("a file without duration has no backchannels");
  BackchannelScore score;
  bool takeover = false;
  for (const base::Segment& segment : segments) {
    const double length_s = segment.end_s - segment.start_s;
    if (length_s > kLongestBackchannelS) {
      takeover = true;
      break;
    }
    score.backchannels.push_back(segment);
    const auto inside = std::count_if(words.begin(), words.end(), [&](const base::Chunk& word) {
      return Belongs(word, segment);
    });
    const bool takes_over = length_s >= kShortBackchannelS || inside > kFewWords;
    takeover = rule == BackchannelRule::kBenchmark ? takes_over : takeover || takes_over;
  }
  score.takeover = Scored::Of(takeover ? 1 : 0);
  score.frequency_hz = Scored::Of(static_cast<double>(score.backchannels.size()) / duration_s);
  const double people = std::accumulate(ground_truth.begin(), ground_truth.end(), 0.0);
  if (!(people > 0)) {
    score.jsd = Scored::Not("no_ground_truth");
  } else if (!score.backchannels.empty()) {
    score.jsd = Scored::Of(JsdToPeople(score.backchannels, ground_truth, duration_s));
  } else {
    score.jsd = rule == BackchannelRule::kBenchmark ? Scored::Of(1) : Scored::Not("no_backchannel");
  }
  return score;
}

}  // namespace ppx::metrics
