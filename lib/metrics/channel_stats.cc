#include "metrics/channel_stats.h"

#include <algorithm>

#include "base/error.h"
#include "metrics/timing_v15.h"

namespace ppx::metrics {
namespace {

using base::Segment;

// The agent falls silent because of a user's backchannel, or for another reason, later.
constexpr double kFalseStopWithinS = 1.0;

enum Channel { kUser, kAgent };

struct Ipu {
  Segment at;
  Channel channel;
};

Activity Total(std::span<const Segment> segments) {
  Activity activity{static_cast<int64_t>(segments.size()), 0};
  for (const Segment& segment : segments) activity.total_s += segment.end_s - segment.start_s;
  return activity;
}

void Add(Activity& activity, double seconds) {
  ++activity.count;
  activity.total_s += seconds;
}

bool Inside(const Segment& inner, const Segment& outer) {
  return inner.start_s >= outer.start_s && inner.end_s <= outer.end_s;
}

std::vector<Ipu> ByStart(std::span<const Segment> user, std::span<const Segment> agent) {
  std::vector<Ipu> ipus;
  for (const Segment& segment : user) ipus.push_back({segment, kUser});
  for (const Segment& segment : agent) ipus.push_back({segment, kAgent});
  std::stable_sort(ipus.begin(), ipus.end(),
                   [](const Ipu& a, const Ipu& b) { return a.at.start_s < b.at.start_s; });
  return ipus;
}

// Silences of both between the first and the last sound, by whose speech lies on either side.
void CountSilences(const std::vector<Ipu>& ipus, ChannelStats& stats) {
  for (size_t i = 0; i < ipus.size();) {
    Ipu latest = ipus[i];
    for (++i; i < ipus.size() && ipus[i].at.start_s <= latest.at.end_s; ++i) {
      if (ipus[i].at.end_s > latest.at.end_s) latest = ipus[i];
    }
    if (i == ipus.size()) return;
    const double silence_s = ipus[i].at.start_s - latest.at.end_s;
    if (ipus[i].channel != latest.channel) {
      Add(stats.gaps, silence_s);
    } else {
      Add(latest.channel == kUser ? stats.user_pauses : stats.agent_pauses, silence_s);
    }
  }
}

std::vector<double> FloorTransfers(const std::vector<Ipu>& ipus) {
  std::vector<Ipu> holding;
  for (const Ipu& ipu : ipus) {
    const bool contained = std::any_of(ipus.begin(), ipus.end(), [&](const Ipu& other) {
      return other.channel != ipu.channel && Inside(ipu.at, other.at) &&
             // Of two equal ones the user's holds the floor.
             (!Inside(other.at, ipu.at) || ipu.channel == kAgent);
    });
    if (!contained) holding.push_back(ipu);
  }
  std::vector<double> offsets_s;
  for (size_t i = 1; i < holding.size(); ++i) {
    if (holding[i].channel == holding[i - 1].channel) continue;
    offsets_s.push_back(holding[i].at.start_s - holding[i - 1].at.end_s);
  }
  return offsets_s;
}

std::optional<double> Share(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

std::optional<double> ResponseRate(std::span<const Segment> turns, std::span<const Segment> agent,
                                   double duration_s, const EventOptions& options) {
  int64_t answered = 0;
  int64_t watched = 0;
  for (const Segment& turn : turns) {
    const double from_s = turn.end_s - options.early_response_s;
    const double until_s = turn.end_s + options.response_window_s;
    const bool answer = std::any_of(agent.begin(), agent.end(), [&](const Segment& speech) {
      return speech.start_s > from_s && speech.start_s <= until_s && speech.end_s > turn.end_s;
    });
    if (!answer && until_s > duration_s) continue;
    ++watched;
    if (answer) ++answered;
  }
  return Share(answered, watched);
}

}  // namespace

ChannelStats ChannelStatsOf(const Dialogue& dialogue, const EventOptions& options) {
  if (!(dialogue.duration_s > 0)) base::ThrowInternal("a dialogue without duration has no rates");
  ChannelStats stats;
  stats.duration_s = dialogue.duration_s;
  const auto user = MergeSegments(dialogue.user, kIpuGapS);
  const auto agent = MergeSegments(dialogue.agent, kIpuGapS);
  stats.user_ipus = Total(user);
  stats.agent_ipus = Total(agent);
  for (const Segment& ours : agent) {
    for (const Segment& theirs : user) {
      const double overlap_s =
          std::min(ours.end_s, theirs.end_s) - std::max(ours.start_s, theirs.start_s);
      if (overlap_s > 0) Add(stats.overlaps, overlap_s);
    }
  }
  const double speech_s =
      stats.user_ipus.total_s + stats.agent_ipus.total_s - stats.overlaps.total_s;
  stats.silence_share = std::clamp(1.0 - speech_s / stats.duration_s, 0.0, 1.0);
  if (stats.agent_ipus.total_s > 0) {
    stats.talk_over_share = stats.overlaps.total_s / stats.agent_ipus.total_s;
  }
  const auto ipus = ByStart(user, agent);
  CountSilences(ipus, stats);
  stats.floor_transfer_offsets_s = FloorTransfers(ipus);

  const auto user_turns = MergeSegments(dialogue.user, kUserMergeGapS);
  const auto agent_turns = MergeSegments(dialogue.agent, kAgentMergeGapS);
  stats.response_rate = ResponseRate(user_turns, agent_turns, stats.duration_s, options);
  int64_t interruptions = 0;
  for (const Segment& speech : agent_turns) {
    if (speech.end_s - speech.start_s < options.backchannel_s) continue;
    interruptions += std::any_of(user_turns.begin(), user_turns.end(), [&](const Segment& turn) {
      return speech.start_s > turn.start_s &&
             speech.start_s < turn.end_s - options.early_response_s;
    });
  }
  stats.interruptions_per_minute = stats.PerMinute(static_cast<double>(interruptions));

  int64_t stops = 0;
  for (const Segment& sound : user) {
    const auto spoken_over =
        std::find_if(agent_turns.begin(), agent_turns.end(), [&](const Segment& speech) {
          return speech.start_s < sound.start_s && speech.end_s > sound.start_s;
        });
    if (sound.end_s - sound.start_s >= options.backchannel_s || spoken_over == agent_turns.end()) {
      continue;
    }
    ++stats.user_backchannels;
    if (spoken_over->end_s < std::min(sound.start_s + kFalseStopWithinS, stats.duration_s)) ++stops;
  }
  stats.false_interruption_rate = Share(stops, stats.user_backchannels);
  return stats;
}

std::optional<double> WordsPerMinute(std::span<const base::Chunk> words) {
  if (words.empty() || !words.front().start_s || !words.back().end_s) return std::nullopt;
  const double span_s = *words.back().end_s - *words.front().start_s;
  if (!(span_s > 0)) return std::nullopt;
  return static_cast<double>(words.size()) * 60.0 / span_s;
}

}  // namespace ppx::metrics
