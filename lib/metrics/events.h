// lib/metrics/events.h: turn-taking from speech events of both channels, without a transcript.
//
// Every sample gets one status, and a latency only where the status is ok. Speech of a channel is
// its detected segments; those of the user count as one turn over gaps of up to 0.6 s, those of the
// agent over gaps of up to 0.5 s, as in FullDuplexBench v1.5 (arXiv 2507.23159).
//
// The response latency follows FullDuplexBench (end of the user's turn to the agent's next start),
// the stop latency PersonaPlex's model card (start of the interruption to the end of the agent's
// speech). Both are reported, by different names.
#pragma once

#include <span>
#include <string_view>

#include "base/timeline.h"
#include "metrics/scored.h"

namespace ppx::metrics {

enum class EventStatus {
  kOk,
  kSpokeBeforeTurnEnd,  // the agent took the floor while the user was still speaking
  kNoResponse,          // silent for the whole response window after the user's turn
  kNotExercised,        // nothing to measure: the agent was silent when it was interrupted, or the
                        // user's channel has no speech
  kTalkedThrough,       // still speaking when the interruption ended: never yielded
  kRightCensored        // the file ends before the event could have come
};
// "ok", "spoke_before_turn_end", "no_response", ...
std::string_view Name(EventStatus status);

struct EventOptions {
  // Silence after the user's turn that makes a "no response"; a file that ends earlier is censored.
  double response_window_s = 3.0;
  // An answer that begins up to this much before the turn ends is an overlap at the turn's end, as
  // in human talk, with a negative latency; one that begins earlier spoke before the turn end.
  double early_response_s = 0.5;
  // Agent speech shorter than this while the user speaks is a backchannel, no takeover.
  double backchannel_s = 1.0;
  // A greeting that the user speaks into may end in peace for this long.
  double greeting_overlap_s = 2.0;
};

// Two aligned channels of one file.
struct Dialogue {
  std::span<const base::Segment> user;
  std::span<const base::Segment> agent;
  double duration_s = 0;
};

struct EventScore {
  EventStatus status = EventStatus::kOk;
  Scored takeover;            // 0 or 1
  Scored response_latency_s;  // next start of the agent - end of the user's turn; may be negative
  Scored stop_latency_s;      // end of the agent's speech - start of the interruption
};

// Does the agent answer when the user's turn is over? The turn is the last one of the user that
// begins before `marked_end_s`, where the annotation says it ends. The takeover is 1 where the
// agent answers within the response window, also when it began too early; 0 for no response.
EventScore ScoreTurnEvent(const Dialogue& dialogue, double marked_end_s,
                          const EventOptions& options = {});

// Does the agent leave the user's pauses alone? spoke_before_turn_end, and a takeover of 1, where
// agent speech of `backchannel_s` or more begins between the user's first and last sound. What the
// agent began before the user (a greeting) is one only if it goes on for `greeting_overlap_s` more.
EventScore ScorePauseEvent(const Dialogue& dialogue, const EventOptions& options = {});

// Does the agent stop, and answer, when it is interrupted? The interruption is the user's turn that
// overlaps `marked` most; where the detector hears none it is `marked` itself. The takeover is 1
// where the agent speaks again within the response window after the interruption.
EventScore ScoreInterruptionEvent(const Dialogue& dialogue, const base::Segment& marked,
                                  const EventOptions& options = {});

}  // namespace ppx::metrics
