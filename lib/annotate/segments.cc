#include "annotate/segments.h"

#include <algorithm>

#include "base/decimal.h"
#include "base/error.h"

namespace ppx::annotate {

std::vector<base::Segment> ToSeconds(std::span<const SampleSegment> segments, int rate_hz) {
  if (rate_hz < 1) base::ThrowInternal("speech segments at no sample rate");
  std::vector<base::Segment> seconds;
  seconds.reserve(segments.size());
  for (const SampleSegment& segment : segments) {
    seconds.push_back(
        {static_cast<double>(segment.start) / rate_hz, static_cast<double>(segment.end) / rate_hz});
  }
  return seconds;
}

std::vector<base::Segment> RoundedToTenths(std::span<const base::Segment> segments,
                                           double duration_s) {
  std::vector<base::Segment> rounded;
  rounded.reserve(segments.size());
  for (const base::Segment& segment : segments) {
    rounded.push_back({std::max(base::RoundDecimal(segment.start_s, 1), 0.0),
                       std::min(base::RoundDecimal(segment.end_s, 1), duration_s)});
  }
  return rounded;
}

std::vector<base::Segment> MergeGaps(std::span<const base::Segment> segments, double max_gap_s) {
  std::vector<base::Segment> merged;
  for (const base::Segment& segment : segments) {
    if (!merged.empty() && segment.start_s - merged.back().end_s <= max_gap_s) {
      merged.back().end_s = std::max(merged.back().end_s, segment.end_s);
    } else {
      merged.push_back(segment);
    }
  }
  return merged;
}

std::vector<base::Segment> ScaleTimes(std::span<const base::Segment> segments, double factor) {
  std::vector<base::Segment> scaled;
  scaled.reserve(segments.size());
  for (const base::Segment& segment : segments) {
    scaled.push_back({segment.start_s * factor, segment.end_s * factor});
  }
  return scaled;
}

double TotalSeconds(std::span<const base::Segment> segments) {
  double total_s = 0;
  for (const base::Segment& segment : segments) total_s += segment.end_s - segment.start_s;
  return total_s;
}

std::optional<base::Segment> Intersection(const base::Segment& a, const base::Segment& b) {
  const base::Segment common{std::max(a.start_s, b.start_s), std::min(a.end_s, b.end_s)};
  return common.start_s < common.end_s ? std::optional(common) : std::nullopt;
}

}  // namespace ppx::annotate
