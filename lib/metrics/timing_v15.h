// lib/metrics/timing_v15.h: when the agent stops and when it answers, as FullDuplexBench v1.5
// (arXiv 2507.23159) lists it. Works on speech segments of both channels, unrounded.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/timeline.h"

namespace ppx::metrics {

inline constexpr double kUserMergeGapS = 0.6;
inline constexpr double kAgentMergeGapS = 0.5;

// Segments with a silence of at most `gap_s` between them as one. Sorted by start first.
std::vector<base::Segment> MergeSegments(std::span<const base::Segment> segments, double gap_s);

// Each entry is an interval; its length is the latency. Rounded to 3 decimals (base::RoundDecimal),
// sorted.
struct TimingV15 {
  // The non-empty stretches where both speak: how long the agent goes on after the user begins (or
  // the other way round).
  std::vector<base::Segment> stop;
  // From the end of a user segment to the first start of the agent strictly after it, whether or
  // not anyone speaks in between. Of several user segments with the same agent start the one that
  // ends last.
  std::vector<base::Segment> response;
};

// Both lists merged beforehand.
TimingV15 TimingOf(std::span<const base::Segment> user, std::span<const base::Segment> agent);

// Mean length of the intervals; no value for none.
std::optional<double> MeanLatency(std::span<const base::Segment> intervals);

}  // namespace ppx::metrics
