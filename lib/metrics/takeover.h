// lib/metrics/takeover.h: did the agent take the turn? The rule that FullDuplexBench v1.0 (arXiv
// 2503.04721) shares between pause handling, turn taking and user interruption, and the latencies
// that go with it. Works on the words of the agent's channel, one chunk each; a chunk is a word
// however its text reads.
#pragma once

#include <span>

#include "base/timeline.h"
#include "metrics/scored.h"

namespace ppx::metrics {

// 1 where the agent took over, 0 where it did not.
//
// No chunks: 0. Else D = end of the last - start of the first (start of the last where its end is
// missing); D < 1 s and at most 3 chunks: 0, anything else: 1. Plain doubles, no tolerance.
// Statuses: "missing_time" where a time that this needs is missing, or any end but the last one's:
// there the benchmark's own script fails.
Scored TakeoverOf(std::span<const base::Chunk> words);

// What becomes of an answer that begins before the user's turn has ended.
enum class NegativeLatency {
  kZero,   // counted as 0 s, as the benchmark does
  kStatus  // no latency, status "negative_latency"
};

// Start of the first chunk - `reference_s`, in seconds, where `takeover` is 1. `reference_s` is the
// end of the user's turn or interruption. Status "no_takeover" where takeover is 0, and takeover's
// own status where that has no value.
Scored ResponseLatencyOf(std::span<const base::Chunk> words, const Scored& takeover,
                         double reference_s, NegativeLatency negative);

// In the benchmark's script for user interruptions a latency counts only where the judge gave a
// mark: the takeover itself where `marked`, else status "no_judge_mark" for a takeover of 1.
Scored MarkedTakeover(const Scored& takeover, bool marked);

}  // namespace ppx::metrics
