// lib/metrics/channel_stats.h: what two aligned channels do with the floor; no labels needed.
//
// Terms after Nguyen et al. 2022 ("Generative Spoken Dialogue Language Modeling", arXiv 2203.16502,
// section 4.3) and Heldner and Edlund 2010 ("Pauses, gaps and overlaps in conversations"):
// an inter-pausal unit (IPU) is speech of one channel without a silence of more than 0.2 s; a pause
// is silence of both between IPUs of one channel, a gap between IPUs of different channels; an
// overlap is speech of both.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/timeline.h"
#include "metrics/events.h"

namespace ppx::metrics {

inline constexpr double kIpuGapS = 0.2;

struct Activity {
  int64_t count = 0;
  double total_s = 0;
};

struct ChannelStats {
  double duration_s = 0;
  Activity user_ipus, agent_ipus;
  Activity user_pauses, agent_pauses;
  Activity gaps, overlaps;
  double silence_share = 0;  // of the file, neither speaks
  // Share of the agent's speech that falls on the user's; no value where the agent is silent.
  std::optional<double> talk_over_share;
  // Start of an IPU - end of the IPU before it, wherever the speaker changes; negative = overlap.
  // IPUs that lie wholly inside one of the other channel do not take the floor and are left out.
  std::vector<double> floor_transfer_offsets_s;
  // User turns (gaps up to 0.6 s) that the agent answers within the response window, of those
  // whose window the file holds; no value for none of these.
  std::optional<double> response_rate;
  // Agent speech of backchannel_s or more that begins inside a user turn, more than
  // early_response_s before its end, per minute of the file.
  double interruptions_per_minute = 0;
  // User backchannels: IPUs shorter than backchannel_s while the agent speaks. The share after
  // whose start the agent falls silent within 1 s, for 0.5 s or more. No value for none.
  int64_t user_backchannels = 0;
  std::optional<double> false_interruption_rate;

  double PerMinute(double amount) const { return amount * 60.0 / duration_s; }
};

// `dialogue.duration_s` > 0.
ChannelStats ChannelStatsOf(const Dialogue& dialogue, const EventOptions& options = {});

// Words per minute between the start of the first and the end of the last chunk. No value for no
// words, missing times, or no time between them.
std::optional<double> WordsPerMinute(std::span<const base::Chunk> words);

}  // namespace ppx::metrics
