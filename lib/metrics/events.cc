#include "metrics/events.h"

#include <algorithm>
#include <vector>

#include "metrics/timing_v15.h"

namespace ppx::metrics {
namespace {

using base::Segment;

EventScore WithStatus(EventStatus status, Scored takeover) {
  const std::string name(Name(status));
  return {status, std::move(takeover), Scored::Not(name), Scored::Not(name)};
}

// What the agent does after `from_s`, measured from `turn_end_s`.
EventScore Respond(std::span<const Segment> agent, double from_s, double turn_end_s,
                   double duration_s, const EventOptions& options) {
  const auto next = std::find_if(agent.begin(), agent.end(),
                                 [&](const Segment& speech) { return speech.start_s > from_s; });
  const double last_chance_s = turn_end_s + options.response_window_s;
  if (next != agent.end() && next->start_s <= last_chance_s) {
    EventScore score;
    score.takeover = Scored::Of(1);
    score.response_latency_s = Scored::Of(next->start_s - turn_end_s);
    score.stop_latency_s = Scored::Not(std::string(Name(EventStatus::kNotExercised)));
    return score;
  }
  if (duration_s < last_chance_s) {
    return WithStatus(EventStatus::kRightCensored,
                      Scored::Not(std::string(Name(EventStatus::kRightCensored))));
  }
  return WithStatus(EventStatus::kNoResponse, Scored::Of(0));
}

double Overlap(const Segment& a, const Segment& b) {
  return std::min(a.end_s, b.end_s) - std::max(a.start_s, b.start_s);
}

EventScore NotExercised() {
  return WithStatus(EventStatus::kNotExercised,
                    Scored::Not(std::string(Name(EventStatus::kNotExercised))));
}

}  // namespace

std::string_view Name(EventStatus status) {
  switch (status) {
    case EventStatus::kOk:
      return kStatusOk;
    case EventStatus::kSpokeBeforeTurnEnd:
      return "spoke_before_turn_end";
    case EventStatus::kNoResponse:
      return "no_response";
    case EventStatus::kNotExercised:
      return "not_exercised";
    case EventStatus::kTalkedThrough:
      return "talked_through";
    case EventStatus::kRightCensored:
      return "right_censored";
  }
  return "";
}

EventScore ScoreTurnEvent(const Dialogue& dialogue, double marked_end_s,
                          const EventOptions& options) {
  const auto user = MergeSegments(dialogue.user, kUserMergeGapS);
  const auto agent = MergeSegments(dialogue.agent, kAgentMergeGapS);
  const auto turn = std::find_if(user.rbegin(), user.rend(), [&](const Segment& speech) {
    return speech.start_s < marked_end_s;
  });
  if (turn == user.rend()) return NotExercised();
  const double end_s = turn->end_s;
  const double too_early_s = end_s - options.early_response_s;
  const bool holds_the_floor = std::any_of(agent.begin(), agent.end(), [&](const Segment& speech) {
    return speech.start_s < too_early_s && speech.end_s > end_s;
  });
  if (holds_the_floor) return WithStatus(EventStatus::kSpokeBeforeTurnEnd, Scored::Of(1));
  // An answer that was over before the turn was, is none: speech has to go on past the end.
  std::vector<Segment> answers;
  std::copy_if(agent.begin(), agent.end(), std::back_inserter(answers),
               [&](const Segment& speech) { return speech.end_s > end_s; });
  return Respond(answers, too_early_s, end_s, dialogue.duration_s, options);
}

EventScore ScorePauseEvent(const Dialogue& dialogue, const EventOptions& options) {
  if (dialogue.user.empty()) return NotExercised();
  const auto user = MergeSegments(dialogue.user, 0);
  const auto agent = MergeSegments(dialogue.agent, kAgentMergeGapS);
  const Segment turn{user.front().start_s, user.back().end_s};
  const bool took_over = std::any_of(agent.begin(), agent.end(), [&](const Segment& speech) {
    if (speech.start_s <= turn.start_s) {
      return Overlap(speech, turn) >= options.greeting_overlap_s;
    }
    return speech.start_s < turn.end_s && speech.end_s - speech.start_s >= options.backchannel_s;
  });
  if (took_over) return WithStatus(EventStatus::kSpokeBeforeTurnEnd, Scored::Of(1));
  EventScore score = WithStatus(EventStatus::kNotExercised, Scored::Of(0));
  score.status = EventStatus::kOk;
  return score;
}

EventScore ScoreInterruptionEvent(const Dialogue& dialogue, const Segment& marked,
                                  const EventOptions& options) {
  const auto user = MergeSegments(dialogue.user, kUserMergeGapS);
  const auto agent = MergeSegments(dialogue.agent, kAgentMergeGapS);
  Segment interruption = marked;
  double most_s = 0;
  for (const Segment& turn : user) {
    if (Overlap(turn, marked) <= most_s) continue;
    most_s = Overlap(turn, marked);
    interruption = turn;
  }
  const auto interrupted = std::find_if(agent.begin(), agent.end(), [&](const Segment& speech) {
    return speech.start_s < interruption.start_s && speech.end_s > interruption.start_s;
  });
  if (interrupted == agent.end()) return NotExercised();
  const double stop_s = interrupted->end_s;
  if (stop_s >= interruption.end_s) {
    return WithStatus(EventStatus::kTalkedThrough, Scored::Of(1));
  }
  if (stop_s >= dialogue.duration_s) {
    return WithStatus(EventStatus::kRightCensored,
                      Scored::Not(std::string(Name(EventStatus::kRightCensored))));
  }
  const auto next = std::find_if(agent.begin(), agent.end(),
                                 [&](const Segment& speech) { return speech.start_s > stop_s; });
  if (next != agent.end() && next->start_s < interruption.end_s - options.early_response_s) {
    return WithStatus(EventStatus::kSpokeBeforeTurnEnd, Scored::Of(1));
  }
  EventScore score = Respond(agent, stop_s, interruption.end_s, dialogue.duration_s, options);
  score.stop_latency_s = score.status == EventStatus::kOk
                             ? Scored::Of(stop_s - interruption.start_s)
                             : Scored::Not(std::string(Name(score.status)));
  return score;
}

}  // namespace ppx::metrics
