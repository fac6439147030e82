#include "evaluate/sample_scores.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "metrics/backchannel.h"
#include "metrics/channel_stats.h"
#include "metrics/descriptive.h"
#include "metrics/events.h"
#include "metrics/takeover.h"
#include "metrics/timing_v15.h"
#include "metrics/token_stats.h"

namespace ppx::evaluate {
namespace {

using metrics::Scored;
using suite::TaskKind;

constexpr const char* kExact = "fdb-exact";
constexpr const char* kFixed = "fdb-fixed";
constexpr const char* kEvent = "event";
constexpr const char* kV15 = "v15";
constexpr const char* kChannel = "channel";
constexpr const char* kTakeover = "takeover_rate";
constexpr const char* kResponse = "response_latency_s";
constexpr const char* kStop = "stop_latency_s";

// Limits of degenerate output.
constexpr double kNoiseLikeS = 2.0;
constexpr double kMostRepeats = 20;
constexpr double kLeastEntropyBits = 2;
constexpr size_t kEntropyFrames = 63;  // 5 s at 12.5 frames a second

Scored OfMaybe(std::optional<double> value, const char* otherwise) {
  return value ? Scored::Of(*value) : Scored::Not(otherwise);
}

void AddEvent(const metrics::EventScore& score, bool stop, SampleScores& scores) {
  scores.Add(kEvent, kTakeover, score.takeover);
  scores.Add(kEvent, kResponse, score.response_latency_s);
  if (stop) scores.Add(kEvent, kStop, score.stop_latency_s);
}

// When the benchmark expects the agent's answer: where the turn changes, where the interruption
// ends.
double ReferenceTime(TaskKind kind, const base::Segment& event) {
  return kind == TaskKind::kTurnTaking ? event.start_s : event.end_s;
}

void ScoreTakeover(const suite::Task& task, const SampleInputs& inputs, SampleScores& scores) {
  if (!inputs.words) return;
  const auto& words = *inputs.words;
  const Scored takeover = metrics::TakeoverOf(words);
  scores.Add(kExact, kTakeover, takeover);
  scores.Add(kFixed, kTakeover, takeover);
  if (task.kind == TaskKind::kPauseHandling || !inputs.marks.event) return;
  const double reference_s = ReferenceTime(task.kind, *inputs.marks.event);
  scores.Add(
      kExact, kResponse,
      metrics::ResponseLatencyOf(words, takeover, reference_s, metrics::NegativeLatency::kZero));
  scores.Add(
      kFixed, kResponse,
      metrics::ResponseLatencyOf(words, takeover, reference_s, metrics::NegativeLatency::kStatus));
}

void AddBackchannels(const char* scorer, const metrics::BackchannelScore& score,
                     SampleScores& scores) {
  scores.Add(scorer, kTakeover, score.takeover);
  scores.Add(scorer, "backchannel_frequency_hz", score.frequency_hz);
  scores.Add(scorer, "backchannel_jsd", score.jsd);
}

void ScoreBackchannelTask(const SampleInputs& inputs, std::span<const double> ground_truth,
                          SampleScores& scores) {
  if (!inputs.words) return;
  const double duration_s = inputs.agent.duration_s();
  AddBackchannels(
      kExact,
      metrics::ScoreBackchannels(inputs.agent.benchmark_speech, *inputs.words, ground_truth,
                                 duration_s, metrics::BackchannelRule::kBenchmark),
      scores);
  AddBackchannels(kFixed,
                  metrics::ScoreBackchannels(inputs.agent.speech, *inputs.words, ground_truth,
                                             duration_s, metrics::BackchannelRule::kFixed),
                  scores);
}

void ScoreEvents(const suite::Task& task, const SampleInputs& inputs,
                 const metrics::Dialogue& dialogue, SampleScores& scores) {
  const auto& event = inputs.marks.event;
  switch (task.kind) {
    case TaskKind::kPauseHandling:
    case TaskKind::kBackchannel:
      scores.Add(kEvent, kTakeover, metrics::ScorePauseEvent(dialogue).takeover);
      break;
    case TaskKind::kTurnTaking:
      AddEvent(metrics::ScoreTurnEvent(dialogue, event->end_s), false, scores);
      break;
    case TaskKind::kServiceQuestion:
      AddEvent(metrics::ScoreTurnEvent(dialogue, dialogue.duration_s), false, scores);
      break;
    case TaskKind::kInterruption:
      AddEvent(metrics::ScoreInterruptionEvent(dialogue, *event), true, scores);
      break;
    case TaskKind::kOverlap: {
      const auto score = metrics::ScoreInterruptionEvent(dialogue, *event);
      AddEvent(score, true, scores);
      const bool exercised = score.status != metrics::EventStatus::kNotExercised &&
                             score.status != metrics::EventStatus::kRightCensored;
      scores.Add(kEvent, "talked_through",
                 exercised
                     ? Scored::Of(score.status == metrics::EventStatus::kTalkedThrough ? 1 : 0)
                     : Scored::Not(std::string(metrics::Name(score.status))));
      break;
    }
    case TaskKind::kChannels:
      break;
  }
}

void ScoreTimingV15(const metrics::Dialogue& dialogue, SampleScores& scores) {
  const auto timing =
      metrics::TimingOf(metrics::MergeSegments(dialogue.user, metrics::kUserMergeGapS),
                        metrics::MergeSegments(dialogue.agent, metrics::kAgentMergeGapS));
  const auto add = [&](const char* name, const std::vector<base::Segment>& intervals) {
    scores.Add(kV15, name, OfMaybe(metrics::MeanLatency(intervals), "none"));
    auto& pool = scores.pooled[{kV15, name}];
    for (const base::Segment& interval : intervals) {
      pool.push_back(interval.end_s - interval.start_s);
    }
  };
  add("stop_interval_s", timing.stop);
  add("response_interval_s", timing.response);
}

void ScoreChannels(const SampleInputs& inputs, const metrics::Dialogue& dialogue,
                   SampleScores& scores) {
  const metrics::ChannelStats stats = metrics::ChannelStatsOf(dialogue);
  const auto add = [&](const char* name, double value) {
    scores.Add(kChannel, name, Scored::Of(value));
  };
  const auto per_minute = [&](const char* name, double amount) {
    add(name, stats.PerMinute(amount));
  };
  const auto count = [](const metrics::Activity& activity) {
    return static_cast<double>(activity.count);
  };
  per_minute("user_ipus_per_minute", count(stats.user_ipus));
  per_minute("user_speech_s_per_minute", stats.user_ipus.total_s);
  per_minute("user_pauses_per_minute", count(stats.user_pauses));
  per_minute("user_pause_s_per_minute", stats.user_pauses.total_s);
  per_minute("agent_ipus_per_minute", count(stats.agent_ipus));
  per_minute("agent_speech_s_per_minute", stats.agent_ipus.total_s);
  per_minute("agent_pauses_per_minute", count(stats.agent_pauses));
  per_minute("agent_pause_s_per_minute", stats.agent_pauses.total_s);
  per_minute("gaps_per_minute", count(stats.gaps));
  per_minute("gap_s_per_minute", stats.gaps.total_s);
  per_minute("overlaps_per_minute", count(stats.overlaps));
  per_minute("overlap_s_per_minute", stats.overlaps.total_s);
  add("interruptions_per_minute", stats.interruptions_per_minute);
  add("silence_share", stats.silence_share);
  scores.Add(kChannel, "talk_over_share", OfMaybe(stats.talk_over_share, "agent_silent"));
  scores.Add(kChannel, "response_rate", OfMaybe(stats.response_rate, "no_user_turn"));
  scores.Add(kChannel, "false_interruption_rate",
             OfMaybe(stats.false_interruption_rate, "no_user_backchannel"));
  scores.Add(kChannel, "floor_transfer_offset_s",
             stats.floor_transfer_offsets_s.empty()
                 ? Scored::Not("no_floor_transfer")
                 : Scored::Of(metrics::Median(stats.floor_transfer_offsets_s)));
  scores.pooled[{kChannel, "floor_transfer_offset_s"}] = stats.floor_transfer_offsets_s;
  scores.Add(kChannel, "words_per_minute",
             inputs.words ? OfMaybe(metrics::WordsPerMinute(*inputs.words), "no_words")
                          : Scored::Not("no_transcript"));
}

void ScoreLevels(const AudioFacts& agent, SampleScores& scores) {
  scores.Add(kChannel, "loudness_lufs", OfMaybe(agent.loudness_lufs, "silent"));
  scores.Add(kChannel, "clipped_samples", Scored::Of(static_cast<double>(agent.clipped_samples)));
}

void FlagDegenerateOutput(const SampleInputs& inputs, SampleScores& scores) {
  const bool silent = inputs.agent.speech.empty();
  if (silent) scores.flags.emplace_back("no_speech");
  if (silent && inputs.words && !inputs.words->empty()) {
    scores.flags.emplace_back("words_without_speech");
  }
  if (inputs.agent.noise_like_s > kNoiseLikeS) scores.flags.emplace_back("noise_like");
  const metrics::TokenRows tokens{inputs.tokens};
  if (inputs.agent.repeated_frames > kMostRepeats ||
      static_cast<double>(metrics::LongestRepeat(tokens)) > kMostRepeats) {
    scores.flags.emplace_back("repeated_frame");
  }
  const auto entropy_bits = metrics::LeastEntropyBits(tokens, kEntropyFrames);
  if (entropy_bits && *entropy_bits < kLeastEntropyBits) scores.flags.emplace_back("low_entropy");
  if (inputs.agent.clipped_samples > 0) scores.flags.emplace_back("clipped");
}

}  // namespace

void SampleScores::Add(const std::string& scorer, const std::string& name, const Scored& scored) {
  values.push_back({scorer, name, scored.value, scored.status});
}

const report::SampleValue* SampleScores::Find(const std::string& scorer,
                                              const std::string& name) const {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const report::SampleValue& value) {
        return value.scorer == scorer && value.name == name;
      });
  return found == values.end() ? nullptr : &*found;
}

SampleScores ScoreSample(const suite::Task& task, const SampleInputs& inputs,
                         std::span<const double> ground_truth) {
  SampleScores scores;
  switch (task.kind) {
    case TaskKind::kPauseHandling:
    case TaskKind::kTurnTaking:
    case TaskKind::kInterruption:
      ScoreTakeover(task, inputs, scores);
      break;
    case TaskKind::kBackchannel:
      ScoreBackchannelTask(inputs, ground_truth, scores);
      break;
    case TaskKind::kOverlap:
    case TaskKind::kServiceQuestion:
    case TaskKind::kChannels:
      break;
  }
  if (inputs.user) {
    const metrics::Dialogue dialogue{
        inputs.user->speech, inputs.agent.speech,
        std::max(inputs.user->duration_s(), inputs.agent.duration_s())};
    ScoreEvents(task, inputs, dialogue, scores);
    if (task.kind == TaskKind::kOverlap) ScoreTimingV15(dialogue, scores);
    ScoreChannels(inputs, dialogue, scores);
  }
  ScoreLevels(inputs.agent, scores);
  FlagDegenerateOutput(inputs, scores);
  return scores;
}

bool IsRate(const std::string& metric) {
  constexpr std::array kRates{"takeover_rate",    "talked_through",      "behaviour_respond",
                              "behaviour_resume", "behaviour_uncertain", "behaviour_unknown"};
  return std::find(kRates.begin(), kRates.end(), metric) != kRates.end();
}

std::string UnitOf(const std::string& metric) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kUnits{{
      {"_s_per_minute", "s/min"},
      {"_per_minute", "1/min"},
      {"_frequency_hz", "1/s"},
      {"_hz", "Hz"},
      {"_db", "dB"},
      {"_lufs", "LUFS"},
      {"_s", "s"},
  }};
  std::string_view name = metric;
  for (const std::string_view place : {"_before", "_after", "_clean", "_pooled"}) {
    if (name.ends_with(place)) name.remove_suffix(place.size());
  }
  for (const auto& [suffix, unit] : kUnits) {
    if (name.ends_with(suffix)) return std::string(unit);
  }
  return "";
}

}  // namespace ppx::evaluate
