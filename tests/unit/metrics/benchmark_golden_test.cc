// FullDuplexBench's own scripts, case by case: tests/golden/metrics.
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/timeline.h"
#include "metrics/backchannel.h"
#include "metrics/takeover.h"
#include "metrics/timing_v15.h"
#include "support/doctest.h"

namespace ppx::metrics {
namespace {

using Json = nlohmann::json;

Json Cases(const std::string& name) {
  std::ifstream file(PPX_SOURCE_DIR "/tests/golden/metrics/" + name);
  Json cases = Json::parse(file);
  REQUIRE_FALSE(cases.empty());
  return cases;
}

std::optional<double> Time(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<double>());
}

std::vector<base::Chunk> Words(const Json& json) {
  std::vector<base::Chunk> words;
  for (const Json& chunk : json) {
    words.push_back(
        {chunk.at("text"), Time(chunk.at("timestamp").at(0)), Time(chunk.at("timestamp").at(1))});
  }
  return words;
}

std::vector<base::Segment> Pairs(const Json& json) {
  std::vector<base::Segment> pairs;
  for (const Json& pair : json) pairs.push_back({pair.at(0), pair.at(1)});
  return pairs;
}

// 1e-9 for arithmetic, 1e-6 for the Jensen-Shannon distance.
void CheckValue(const Scored& ours, const Json& wanted, double tolerance) {
  REQUIRE(ours.value.has_value() == !wanted.is_null());
  CHECK((ours.status == kStatusOk) == !wanted.is_null());
  if (ours.value) CHECK(std::abs(*ours.value - wanted.get<double>()) <= tolerance);
}

void CheckPairs(const std::vector<base::Segment>& ours, const Json& wanted) {
  const auto pairs = Pairs(wanted);
  REQUIRE(ours.size() == pairs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    CHECK(std::abs(ours[i].start_s - pairs[i].start_s) <= 1e-9);
    CHECK(std::abs(ours[i].end_s - pairs[i].end_s) <= 1e-9);
  }
}

TEST_CASE("pause handling") {
  for (const Json& c : Cases("pause_handling.json")) {
    CheckValue(TakeoverOf(Words(c.at("chunks"))), c.at("tor"), 1e-9);
  }
}

TEST_CASE("smooth turn taking") {
  for (const Json& c : Cases("smooth_turn_taking.json")) {
    const auto words = Words(c.at("chunks"));
    const Scored takeover = TakeoverOf(words);
    CheckValue(takeover, c.at("tor"), 1e-9);
    const double turn_end_s = c.at("turn_taking").at(0).at("timestamp").at(0);
    CheckValue(ResponseLatencyOf(words, takeover, turn_end_s, NegativeLatency::kZero),
               c.at("latency"), 1e-9);
  }
}

TEST_CASE("user interruption") {
  for (const Json& c : Cases("user_interruption.json")) {
    const auto words = Words(c.at("chunks"));
    const Scored takeover = TakeoverOf(words);
    CheckValue(takeover, c.at("tor"), 1e-9);
    const double end_s = c.at("interrupt").at(0).at("timestamp").at(1);
    const bool marked = c.contains("judge_rating") && !c.at("judge_rating").is_null();
    CheckValue(
        ResponseLatencyOf(words, MarkedTakeover(takeover, marked), end_s, NegativeLatency::kZero),
        c.at("latency"), 1e-9);
  }
}

TEST_CASE("backchannels") {
  for (const Json& c : Cases("backchannel.json")) {
    std::vector<base::Segment> segments;
    for (const Json& s : c.at("segments")) segments.push_back({s.at("start"), s.at("end")});
    const double duration_s = c.at("samples").get<double>() / c.at("sr").get<double>();
    const auto ground_truth = c.at("gt").get<std::vector<double>>();
    const auto score = ScoreBackchannels(segments, Words(c.at("chunks")), ground_truth, duration_s,
                                         BackchannelRule::kBenchmark);
    CheckValue(score.takeover, c.at("tor"), 1e-9);
    CheckValue(score.frequency_hz, c.at("freq"), 1e-9);
    CheckValue(score.jsd, c.at("jsd"), 1e-6);
  }
}

TEST_CASE("timing of v1.5") {
  for (const Json& c : Cases("timing_v15.json")) {
    const auto user = MergeSegments(Pairs(c.at("user")), kUserMergeGapS);
    const auto agent = MergeSegments(Pairs(c.at("model")), kAgentMergeGapS);
    CheckPairs(user, c.at("user_merged"));
    CheckPairs(agent, c.at("model_merged"));
    const auto timing = TimingOf(user, agent);
    CheckPairs(timing.stop, c.at("latency_stop_list"));
    CheckPairs(timing.response, c.at("latency_resp_list"));
  }
}

}  // namespace
}  // namespace ppx::metrics
