// lib/annotate/segments.h: small arithmetic on stretches of speech.
//
// Lists of segments are in order of their starts, and every segment ends after it starts.
#pragma once

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

}  // namespace ppx::annotate
