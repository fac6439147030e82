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

}  // namespace ppx::annotate
