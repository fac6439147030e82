// lib/annotate/segments.h: small arithmetic on stretches of speech.
//
// Lists of segments are in order of their starts, and every segment ends after it starts.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "annotate/vad_segments.h"
#include "base/timeline.h"

namespace ppx::annotate {

// samples / rate_hz. Throws base::Error (kInternal) for a rate below 1.
std::vector<base::Segment> ToSeconds(std::span<const SampleSegment> segments, int rate_hz);

// Starts and ends as Python's round(x, 1) gives them (base::RoundDecimal), starts not below 0 and
// ends not beyond `duration_s`, which is not rounded. A segment may become empty by it.
std::vector<base::Segment> RoundedToTenths(std::span<const base::Segment> segments,
                                           double duration_s);

// Neighbours with a gap of `max_gap_s` or less between them become one; those that overlap, too.
std::vector<base::Segment> MergeGaps(std::span<const base::Segment> segments, double max_gap_s);

// All times multiplied by `factor`, above 0: a time axis that was stretched by a wrong sample rate.
std::vector<base::Segment> ScaleTimes(std::span<const base::Segment> segments, double factor);

// Seconds of all segments together; overlapping ones count as often as they are there.
double TotalSeconds(std::span<const base::Segment> segments);

// What two segments have in common; no value where that is empty or a single point.
std::optional<base::Segment> Intersection(const base::Segment& a, const base::Segment& b);

}  // namespace ppx::annotate
