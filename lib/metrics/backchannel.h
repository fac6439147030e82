// lib/metrics/backchannel.h: backchannels of the agent while the user tells something, as
// FullDuplexBench v1.0 (arXiv 2503.04721) counts them and places them in time.
#pragma once

#include <span>
#include <vector>

#include "base/timeline.h"
#include "metrics/scored.h"

namespace ppx::metrics {

enum class BackchannelRule {
  kBenchmark,  // the last segment scanned decides the takeover; JSD is 1 without a backchannel
  kFixed       // any takeover counts; JSD has status "no_backchannel" without one
};

struct BackchannelScore {
  Scored takeover;                          // 0 or 1
  Scored frequency_hz;                      // backchannels per second of the file
  Scored jsd;                               // distance to where people place theirs
  std::vector<base::Segment> backchannels;  // the segments that counted
};

// `segments`: speech of the agent's channel, in the order of time, as the detector gives them.
// `words`: of the same channel; times may be missing. `ground_truth`: for each window of 0.2 s of
// the sample how often people gave a backchannel in it, any number of windows; where it is empty
// the jsd has status "no_ground_truth". `duration_s` > 0: of the agent's file.
//
// Scan in order: a segment longer than 3 s is a takeover, no backchannel, and ends the scan; every
// other one is a backchannel, and a takeover too unless it is shorter than 1 s and holds at most 2
// words. A word [x, y] belongs to a segment [s, e] if (x >= s and y <= e) or (x <= e and y > e) or
// (x <= s and y > s); without x, or without y while x < e, it is skipped; another missing y counts
// as y = x.
BackchannelScore ScoreBackchannels(std::span<const base::Segment> segments,
                                   std::span<const base::Chunk> words,
                                   std::span<const double> ground_truth, double duration_s,
                                   BackchannelRule rule);

// Windows of 0.2 s that the segments touch, each segment adding 1 to every window from its first to
// its last: int(duration_s / 0.2) + 1 windows, what lies beyond is ignored.
std::vector<double> BackchannelHistogram(std::span<const base::Segment> segments,
                                         double duration_s);

// `values` at `count` >= 1 evenly spaced places from the first to the last, by linear
// interpolation. `values` must not be empty.
std::vector<double> ResizeLinear(std::span<const double> values, size_t count);

}  // namespace ppx::metrics
