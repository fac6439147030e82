#include "metrics/timing_v15.h"

#include <algorithm>
#include <map>

#include "base/decimal.h"
#include "metrics/descriptive.h"

namespace ppx::metrics {
namespace {

constexpr int kDecimals = 3;

bool Before(const base::Segment& a, const base::Segment& b) {
  return std::pair(a.start_s, a.end_s) < std::pair(b.start_s, b.end_s);
}

void RoundAndSort(std::vector<base::Segment>& intervals) {
  for (base::Segment& interval : intervals) {
    interval.start_s = base::RoundDecimal(interval.start_s, kDecimals);
    interval.end_s = base::RoundDecimal(interval.end_s, kDecimals);
  }
  std::sort(intervals.begin(), intervals.end(), Before);
}

}  // namespace

std::vector<base::Segment> MergeSegments(std::span<const base::Segment> segments, double gap_s) {
  std::vector<base::Segment> sorted(segments.begin(), segments.end());
  std::sort(sorted.begin(), sorted.end(), Before);
  std::vector<base::Segment> merged;
  for (const base::Segment& segment : sorted) {
    if (!merged.empty() && segment.start_s - merged.back().end_s <= gap_s) {
      merged.back().end_s = std::max(merged.back().end_s, segment.end_s);
    } else {
      merged.push_back(segment);
    }
  }
  return merged;
}

TimingV15 TimingOf(std::span<const base::Segment> user, std::span<const base::Segment> agent) {
  TimingV15 timing;
  for (size_t i = 0, j = 0; i < user.size() && j < agent.size();) {
    const double start_s = std::max(user[i].start_s, agent[j].start_s);
    const double end_s = std::min(user[i].end_s, agent[j].end_s);
    if (start_s < end_s) timing.stop.push_back({start_s, end_s});
    user[i].end_s < agent[j].end_s ? ++i : ++j;
  }
  std::map<double, double> user_end_by_answer;
  for (const base::Segment& turn : user) {
    const auto answer = std::find_if(agent.begin(), agent.end(), [&](const base::Segment& speech) {
      return speech.start_s > turn.end_s;
    });
    if (answer == agent.end()) continue;
    const auto [entry, added] = user_end_by_answer.try_emplace(answer->start_s, turn.end_s);
    if (!added) entry->second = std::max(entry->second, turn.end_s);
  }
  for (const auto& [answer_s, user_end_s] : user_end_by_answer) {
    timing.response.push_back({user_end_s, answer_s});
  }
  RoundAndSort(timing.stop);
  RoundAndSort(timing.response);
  return timing;
}

std::optional<double> MeanLatency(std::span<const base::Segment> intervals) {
  if (intervals.empty()) return std::nullopt;
  std::vector<double> latencies_s;
  for (const base::Segment& interval : intervals) {
    latencies_s.push_back(interval.end_s - interval.start_s);
  }
  return Mean(latencies_s);
}

}  // namespace ppx::metrics
