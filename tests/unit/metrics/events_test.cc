// Speech events and channel statistics, on dialogues drawn by hand.
#include "metrics/events.h"

#include <cmath>
#include <vector>

#include "metrics/channel_stats.h"
#include "metrics/timing_v15.h"
#include "support/doctest.h"

namespace ppx::metrics {
namespace {

using Segments = std::vector<base::Segment>;
using doctest::Approx;

struct Scene {
  Segments user, agent;
  double duration_s = 20;
  Dialogue dialogue() const { return {user, agent, duration_s}; }
};

TEST_CASE("a turn that is answered") {
  const Scene scene{{{1, 4}}, {{4.4, 8}}};
  const EventScore score = ScoreTurnEvent(scene.dialogue(), 4.1);
  CHECK(score.status == EventStatus::kOk);
  CHECK(score.takeover.value == 1.0);
  CHECK(*score.response_latency_s.value == Approx(0.4));
}

TEST_CASE("an answer that begins just before the turn ends has a negative latency") {
  const Scene scene{{{1, 4}}, {{3.8, 8}}};
  const EventScore score = ScoreTurnEvent(scene.dialogue(), 4.1);
  CHECK(score.status == EventStatus::kOk);
  CHECK(*score.response_latency_s.value == Approx(-0.2));
}

TEST_CASE("statuses of a turn") {
  const auto status = [](const Scene& scene) {
    const EventScore score = ScoreTurnEvent(scene.dialogue(), 4.1);
    CHECK(score.response_latency_s.value.has_value() == (score.status == EventStatus::kOk));
    return score.status;
  };
  CHECK(status({{{1, 4}}, {{2, 9}}}) == EventStatus::kSpokeBeforeTurnEnd);
  CHECK(status({{{1, 4}}, {}}) == EventStatus::kNoResponse);
  CHECK(status({{{1, 4}}, {}, 5.0}) == EventStatus::kRightCensored);
  CHECK(status({{{1, 4}}, {{7.5, 9}}}) == EventStatus::kNoResponse);  // beyond the window
  CHECK(status({{}, {{4.4, 8}}}) == EventStatus::kNotExercised);
  // A greeting and a backchannel that are over before the turn is are neither answer nor takeover.
  CHECK(status({{{1, 4}}, {{0.1, 0.8}, {2, 2.4}, {4.5, 6}}}) == EventStatus::kOk);
  CHECK(status({{{1, 4}}, {{0.1, 0.8}, {2, 2.4}}}) == EventStatus::kNoResponse);
  // A pause of 0.5 s does not end the turn.
  CHECK(status({{{1, 2}, {2.5, 4}}, {{4.2, 6}}}) == EventStatus::kOk);
}

TEST_CASE("pauses") {
  const auto takeover = [](const Scene& scene) {
    return ScorePauseEvent(scene.dialogue()).takeover.value;
  };
  const Segments user{{1, 3}, {4.5, 6}};
  CHECK(takeover({user, {}}) == 0.0);
  CHECK(takeover({user, {{3.5, 4.2}}}) == 0.0);  // a backchannel
  CHECK(takeover({user, {{3.5, 5}}}) == 1.0);
  CHECK(takeover({user, {{0.1, 2.5}}}) == 0.0);  // a greeting, begun before the user
  CHECK(takeover({user, {{0.1, 3.2}}}) == 1.0);  // one that does not end
  CHECK(takeover({user, {{6.5, 9}}}) == 0.0);    // after the turn
  CHECK_FALSE(takeover({{}, {{3.5, 5}}}));
}

TEST_CASE("interruptions") {
  const base::Segment marked{5, 7};
  const auto score = [&](const Scene& scene) {
    return ScoreInterruptionEvent(scene.dialogue(), marked);
  };
  const Segments user{{1, 2}, {5.1, 7.2}};
  const EventScore good = score({user, {{2.5, 5.6}, {7.7, 12}}});
  CHECK(good.status == EventStatus::kOk);
  CHECK(*good.stop_latency_s.value == Approx(0.5));
  CHECK(*good.response_latency_s.value == Approx(0.5));
  CHECK(score({user, {{2.5, 4.5}, {7.7, 12}}}).status == EventStatus::kNotExercised);
  CHECK(score({user, {{2.5, 12}}}).status == EventStatus::kTalkedThrough);
  CHECK(score({user, {{2.5, 5.6}}}).status == EventStatus::kNoResponse);
  CHECK(score({user, {{2.5, 5.6}}, 8.0}).status == EventStatus::kRightCensored);
  CHECK(score({user, {{2.5, 5.6}, {6.2, 12}}}).status == EventStatus::kSpokeBeforeTurnEnd);
  CHECK_FALSE(score({user, {{2.5, 12}}}).stop_latency_s.value);
  // Where the detector hears no user, the annotation is the interruption.
  const EventScore unheard = score({{}, {{2.5, 5.6}, {7.5, 12}}});
  CHECK(unheard.status == EventStatus::kOk);
  CHECK(*unheard.stop_latency_s.value == Approx(0.6));
}

TEST_CASE("channel statistics") {
  // user:  1-3, 3.5-4, 10-12;  agent: 4.5-7, 7.4-8, 11.5-14
  const Scene scene{{{1, 3}, {3.5, 4}, {10, 12}}, {{4.5, 7}, {7.4, 8}, {11.5, 14}}, 20};
  const ChannelStats stats = ChannelStatsOf(scene.dialogue());
  CHECK(stats.user_ipus.count == 3);
  CHECK(stats.user_ipus.total_s == Approx(4.5));
  CHECK(stats.agent_ipus.count == 3);
  CHECK(stats.agent_ipus.total_s == Approx(5.6));
  CHECK(stats.user_pauses.count == 1);
  CHECK(stats.user_pauses.total_s == Approx(0.5));
  CHECK(stats.agent_pauses.count == 1);
  CHECK(stats.agent_pauses.total_s == Approx(0.4));
  CHECK(stats.gaps.count == 2);
  CHECK(stats.gaps.total_s == Approx(0.5 + 2.0));
  CHECK(stats.overlaps.count == 1);
  CHECK(stats.overlaps.total_s == Approx(0.5));
  CHECK(stats.silence_share == Approx(1 - (4.5 + 5.6 - 0.5) / 20));
  CHECK(*stats.talk_over_share == Approx(0.5 / 5.6));
  REQUIRE(stats.floor_transfer_offsets_s.size() == 3);
  CHECK(stats.floor_transfer_offsets_s[0] == Approx(0.5));
  CHECK(stats.floor_transfer_offsets_s[1] == Approx(2.0));
  CHECK(stats.floor_transfer_offsets_s[2] == Approx(-0.5));
  CHECK(stats.PerMinute(2) == 6);
}

TEST_CASE("responses, interruptions and false interruptions") {
  const auto stats = [](const Scene& scene) { return ChannelStatsOf(scene.dialogue()); };
  CHECK(*stats({{{1, 3}, {8, 9}}, {{3.5, 5}}}).response_rate == Approx(0.5));
  CHECK_FALSE(stats({{}, {{3.5, 5}}}).response_rate);
  CHECK(stats({{{1, 6}}, {{3, 8}}}).interruptions_per_minute == Approx(3));
  CHECK(stats({{{1, 6}}, {{3, 3.5}}}).interruptions_per_minute == 0);  // a backchannel
  CHECK(stats({{{1, 6}}, {{5.8, 9}}}).interruptions_per_minute == 0);  // at the turn's end
  // The agent stops for a "mm-hmm" at 4, and goes on over the one at 12.
  const auto stops = stats({{{4, 4.4}, {12, 12.4}}, {{2, 4.6}, {10, 15}}});
  CHECK(stops.user_backchannels == 2);
  CHECK(*stops.false_interruption_rate == 0.5);
  CHECK_FALSE(stats({{{4, 6}}, {{2, 8}}}).false_interruption_rate);
  const auto contained = stats({{{2, 8}}, {{4, 5}}});
  CHECK(contained.floor_transfer_offsets_s.empty());
  CHECK_FALSE(stats({{{1, 2}}, {}}).talk_over_share);
  CHECK(stats({{}, {}}).silence_share == 1);
}

TEST_CASE("words per minute") {
  const std::vector<base::Chunk> words{{"a", 1.0, 1.5}, {"b", 2.0, {}}, {"c", 3.0, 3.0}};
  CHECK(*WordsPerMinute(words) == Approx(90));
  CHECK_FALSE(WordsPerMinute({}));
  CHECK_FALSE(WordsPerMinute(std::vector<base::Chunk>{{"a", 1.0, {}}}));
  CHECK_FALSE(WordsPerMinute(std::vector<base::Chunk>{{"a", 1.0, 1.0}}));
}

TEST_CASE("timing of v1.5 at its limits") {
  CHECK(MergeSegments(Segments{{3, 4}, {1, 2}, {2.5, 2.8}}, 0.5).size() == 1);
  CHECK(MergeSegments(Segments{{1, 2}, {2.7, 3}}, 0.6).size() == 2);
  const auto none = TimingOf(Segments{{1, 2}}, {});
  CHECK(none.stop.empty());
  CHECK(none.response.empty());
  CHECK_FALSE(MeanLatency(none.stop));
  // Touching is no overlap, and a start at the very end of a turn is not after it.
  const auto touching = TimingOf(Segments{{1, 2}}, Segments{{2, 3}});
  CHECK(touching.stop.empty());
  CHECK(touching.response.empty());
}

}  // namespace
}  // namespace ppx::metrics
