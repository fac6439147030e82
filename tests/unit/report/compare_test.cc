#include "report/compare.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "metrics/power.h"
#include "report/text.h"
#include "small_results.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::report {
namespace {

using Values = std::vector<std::optional<double>>;

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

MetricChange OneChange(const OneMetric& of, const Values& a, const Values& b,
                       const CompareOptions& options = {}) {
  const Comparison comparison = Compare(OneMetricResults(of, a), OneMetricResults(of, b), options);
  REQUIRE(comparison.changes.size() == 1);
  return comparison.changes[0];
}

}  // namespace

TEST_CASE("rates: McNemar's exact test over the samples that changed") {
  // A: 1 of 10, B: 9 of 10, of which eight went from 0 to 1: p = 2 / 2^8.
  const MetricChange change = OneChange({}, Ones(1, 10), Ones(9, 10));
  CHECK(change.test == "mcnemar");
  CHECK(change.n == 10);
  CHECK(*change.a == doctest::Approx(0.1));
  CHECK(*change.b == doctest::Approx(0.9));
  CHECK(*change.difference == doctest::Approx(0.8));
  CHECK(*change.p == doctest::Approx(2.0 / 256));
  CHECK(*change.p_holm == doctest::Approx(2.0 / 256));
  CHECK(change.verdict == Verdict::kBetter);
  CHECK(change.interval->low <= 0.8);
  CHECK(change.interval->high >= 0.8);
  CHECK(change.interval->high <= 1.0);
  CHECK(change.detectable == metrics::DetectableRateDifference(10, 0.8));
}

TEST_CASE("means: the exact permutation test of the paired differences") {
  // All eight differences are +1, so that 2 of 2^8 sign patterns are as extreme.
  const MetricChange change =
      OneChange(Latency(), {1, 2, 3, 4, 5, 6, 7, 8}, {2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(change.test == "permutation");
  CHECK(*change.difference == doctest::Approx(1));
  CHECK(*change.p == doctest::Approx(2.0 / 256));
  CHECK(change.interval->low == doctest::Approx(1));  // all equal: a point
  CHECK(change.interval->high == doctest::Approx(1));
  CHECK(*change.detectable == 0);
  CHECK(change.verdict == Verdict::kWorse);  // a latency: lower is better
}

TEST_CASE("the verdict follows the direction, and alpha") {
  OneMetric of;
  CHECK(OneChange(of, Ones(9, 10), Ones(1, 10)).verdict == Verdict::kWorse);
  of.direction = Direction::kLowerIsBetter;
  CHECK(OneChange(of, Ones(9, 10), Ones(1, 10)).verdict == Verdict::kBetter);
  of.direction = Direction::kNone;
  CHECK(OneChange(of, Ones(9, 10), Ones(1, 10)).verdict == Verdict::kDiffers);
  CHECK(OneChange(of, Ones(9, 10), Ones(1, 10), {.alpha = 0.001}).verdict == Verdict::kCannotTell);
  CHECK(OneChange(of, Ones(3, 10), Ones(5, 10)).verdict == Verdict::kCannotTell);
  CHECK(Name(Verdict::kBetter) == "better");
  CHECK(Name(Verdict::kWorse) == "worse");
  CHECK(Name(Verdict::kDiffers) == "differs");
  CHECK(Name(Verdict::kCannotTell) == "cannot tell");
}

TEST_CASE("runs that do not differ cannot be told apart") {
  for (const OneMetric& of : {OneMetric{}, Latency()}) {
    const MetricChange change = OneChange(of, Ones(5, 20), Ones(5, 20));
    CHECK(*change.difference == 0);
    CHECK(*change.p == 1);
    CHECK(change.verdict == Verdict::kCannotTell);
  }
}

TEST_CASE("a difference is over the samples with a value in both, own values stand beside") {
  const Results a = OneMetricResults(Latency(), {1, 2, std::nullopt, 4, std::nullopt});
  const Results b = OneMetricResults(Latency(), {2, std::nullopt, 3, 6, std::nullopt});
  const Comparison comparison = Compare(a, b, {});
  const MetricChange& change = comparison.changes.at(0);
  CHECK(change.n == 2);
  CHECK(change.only_a == 1);
  CHECK(change.only_b == 1);
  CHECK(*change.a == doctest::Approx(2.5));
  CHECK(*change.b == doctest::Approx(4));
  CHECK(*change.difference == doctest::Approx(1.5));
  CHECK(*change.own_a == doctest::Approx(7.0 / 3));
  CHECK(*change.own_b == doctest::Approx(11.0 / 3));
  CHECK(change.own_n_a == 3);
  for (const std::string& text : {ToTable(comparison), ToMarkdown(comparison)}) {
    CHECK(Contains(text, "Over all samples of each run"));
    CHECK(Contains(text, "A 2.333 (n = 3), B 3.667 (n = 3); 1 samples have a value in A alone"));
  }
  const Comparison same = Compare(a, a, {});
  CHECK_FALSE(Contains(ToTable(same), "Over all samples"));
}

TEST_CASE("samples are paired by task and id, in whatever order they come") {
  const Values first{1, 2, 3, 4, 5, 6};
  const Values second{6, 2, 4, 4, 1, 9};
  const Results a = OneMetricResults(Latency(), first);
  const Results b = OneMetricResults(Latency(), second);
  Results reversed = b;
  std::reverse(reversed.samples.begin(), reversed.samples.end());
  CHECK(ToJson(Compare(a, reversed, {})) == ToJson(Compare(a, b, {})));
}

TEST_CASE("nothing in common leaves nothing to say") {
  const MetricChange change = OneChange(Latency(), {1, std::nullopt}, {std::nullopt, 1});
  CHECK(change.n == 0);
  CHECK_FALSE(change.p.has_value());
  CHECK_FALSE(change.difference.has_value());
  CHECK_FALSE(change.interval.has_value());
  CHECK_FALSE(change.detectable.has_value());
  CHECK(change.verdict == Verdict::kCannotTell);
}

TEST_CASE("one sample in common has a difference, and no interval") {
  const MetricChange change = OneChange(Latency(), {1}, {3});
  CHECK(*change.difference == 2);
  CHECK_FALSE(change.interval.has_value());
  CHECK_FALSE(change.detectable.has_value());
  CHECK(*change.p == 1);
}

TEST_CASE("p values are adjusted over all tests of the comparison") {
  OneMetric second;
  second.scorer = "event";
  OneMetric third;
  third.scorer = "fdb-fixed";
  Results a = OneMetricResults({}, Ones(0, 10));
  Add(a, second, Ones(0, 10));
  Add(a, third, {std::nullopt, 0});
  Results b = OneMetricResults({}, Ones(7, 10));
  Add(b, second, Ones(5, 10));
  Add(b, third, {0, std::nullopt});
  const Comparison comparison = Compare(a, b, {});
  REQUIRE(comparison.changes.size() == 3);
  CHECK(*comparison.changes[0].p == doctest::Approx(2.0 / 128));
  CHECK(*comparison.changes[0].p_holm == doctest::Approx(4.0 / 128));  // two tests were made
  CHECK(*comparison.changes[1].p == doctest::Approx(2.0 / 32));
  CHECK(*comparison.changes[1].p_holm == doctest::Approx(2.0 / 32));
  CHECK_FALSE(comparison.changes[2].p_holm.has_value());
  CHECK(comparison.changes[0].verdict == Verdict::kBetter);
  CHECK(comparison.changes[1].verdict == Verdict::kCannotTell);
}

TEST_CASE("what is pooled over samples is shown and not tested") {
  Results a = OneMetricResults({}, Ones(1, 2));
  Metric pooled{"candor_turn_taking",
                "v15",
                "stop_latency_s_pooled",
                "s",
                MetricKind::kMean,
                Direction::kLowerIsBetter,
                {},
                {}};
  pooled.estimate.n = 40;
  pooled.estimate.value = 0.3;
  a.metrics.push_back(pooled);
  Results b = a;
  b.metrics[1].estimate.value = 0.2;
  const Comparison comparison = Compare(a, b, {});
  REQUIRE(comparison.changes.size() == 2);
  CHECK(comparison.changes[1].n == 0);
  CHECK_FALSE(comparison.changes[1].p.has_value());
  CHECK(*comparison.changes[1].own_b == 0.2);
  CHECK(Contains(ToTable(comparison), "A 0.300 (n = 40), B 0.200 (n = 40)"));
}

TEST_CASE("a rate whose values are not yes or no is tested as a mean") {
  Results a = OneMetricResults(Latency(), {0.5, 0.5, 0.5});
  Results b = OneMetricResults(Latency(), {0.75, 0.75, 0.75});
  a.metrics[0].kind = MetricKind::kRate;
  b.metrics[0].kind = MetricKind::kRate;
  CHECK(Compare(a, b, {}).changes.at(0).test == "permutation");
}

TEST_CASE("the samples that changed most come first, with both folders") {
  Results a = OneMetricResults(Latency(), {1, 1, 1, 1});
  Results b = OneMetricResults(Latency(), {1, 5, 3, 3});
  a.context["root"] = "/runs/a";
  b.context["root"] = "/runs/b";
  const Comparison comparison = Compare(a, b, {.top = 2});
  REQUIRE(comparison.samples.size() == 2);
  CHECK(comparison.samples[0].id == "2");
  CHECK(comparison.samples[0].a == 1);
  CHECK(comparison.samples[0].b == 5);
  CHECK(comparison.samples[0].folder_a == "/runs/a/candor_turn_taking/2");
  CHECK(comparison.samples[0].folder_b == "/runs/b/candor_turn_taking/2");
  CHECK(comparison.samples[1].id == "3");  // a tie with 4
  CHECK(Contains(ToTable(comparison), "/runs/b/candor_turn_taking/3"));
  CHECK(Contains(ToMarkdown(comparison), "/runs/b/candor\\_turn\\_taking/3"));
  CHECK(Compare(a, b, {.top = 0}).samples.empty());
  CHECK(Compare(a, b, {}).samples.size() == 3);  // the one that did not change is not there
}

TEST_CASE("metrics of one run alone are listed") {
  Results a = OneMetricResults({}, Ones(1, 2));
  Results b = a;
  Add(a, Latency(), {1, 2});
  OneMetric other = Latency();
  other.task = "icc_backchannel";
  Add(b, other, {1, 2});
  const Comparison comparison = Compare(a, b, {});
  CHECK(comparison.only_a ==
        std::vector<std::string>{"candor_turn_taking event response_latency_s"});
  CHECK(comparison.only_b == std::vector<std::string>{"icc_backchannel event response_latency_s"});
  CHECK(Contains(ToTable(comparison), "Only in B\n  icc_backchannel event"));
  CHECK(Contains(ToMarkdown(comparison), "### Only in A\n\n- candor"));
}

TEST_CASE("results without a common metric are refused") {
  const Results a = OneMetricResults({}, Ones(1, 2));
  const Results b = OneMetricResults(Latency(), {1});
  CHECK(testing::ErrorOf([&] { Compare(a, b, {}); }).code == base::ErrorCode::kBadInput);
}

TEST_CASE("results that were made differently are refused, with every reason") {
  struct Case {
    const char* place;
    nlohmann::json value;
    const char* message;
  };
  const Case cases[] = {
      {"/suite/name", "fdb-v1.5", "suite: fdb-v1.0 and fdb-v1.5"},
      {"/suite/version", 2, "suite version: 1 and 2"},
      {"/transcripts/source", "asr", "transcripts from: files and asr"},
      {"/transcripts/name", "words.json", "transcripts: output.json and words.json"},
      {"/transcripts/version", "2", "transcriber's version: not known and 2"},
      {"/transcripts/by", "model text stream", "transcripts made by: not known and model"},
      {"/vad/name", "energy", "speech detector: silero and energy"},
      {"/vad/version", "5", "speech detector's version: 6.2 and 5"},
      {"/vad/sha256", "ee", "speech detector's file: cd and ee"},
      {"/lead_in_s", 1.0, "lead-in: 0.5 and 1.0"},
      {"/lead_in_s", nullptr, "lead-in: 0.5 and not known"},
      {"/tail_s", 2.0, "tail: not known and 2.0"},
      {"/alignment", "live", "alignment: stream and live"},
  };
  const Results a = OneMetricResults({}, Ones(1, 2));
  CHECK(Mismatches(a, a).empty());
  for (const Case& c : cases) {
    CAPTURE(c.message);
    Results b = a;
    b.context[nlohmann::json::json_pointer(c.place)] = c.value;
    const auto mismatches = Mismatches(a, b);
    REQUIRE(mismatches.size() == 1);
    CHECK(Contains(mismatches[0], c.message));
    const testing::Thrown thrown = testing::ErrorOf([&] { Compare(a, b, {}); });
    CHECK(thrown.code == base::ErrorCode::kUsage);
    CHECK(thrown.Mentions(c.message));
    CHECK(thrown.Mentions("--allow-mismatch"));
    const Comparison comparison = Compare(a, b, {.allow_mismatch = true});
    CHECK(comparison.mismatches == mismatches);
    CHECK(Contains(ToTable(comparison), "made differently: "));
    CHECK(Contains(ToMarkdown(comparison), "made differently: "));
  }
  Results b = a;
  b.scoring_version = kScoringVersion + 1;
  b.context["alignment"] = "live";
  const testing::Thrown both = testing::ErrorOf([&] { Compare(a, b, {}); });
  CHECK(both.Mentions("scoring version: 1 and 2"));
  CHECK(both.Mentions("alignment"));
}

TEST_CASE("what neither run knows is no difference; what one alone knows is") {
  Results a = OneMetricResults({}, Ones(1, 2));
  Results b = a;
  b.context.erase("tail_s");  // null in A
  CHECK(Mismatches(a, b).empty());
  b.context.erase("vad");
  CHECK(Mismatches(a, b).size() == 3);
  CHECK(Mismatches(b, a).size() == 3);
  a.context = nlohmann::json::object();
  b.context = nlohmann::json::object();
  CHECK(Mismatches(a, b).empty());
}

TEST_CASE("judges and speaker models count where both runs have them") {
  Results a = OneMetricResults({}, Ones(1, 2));
  a.context["judges"] = {{"relevance", {{"model", "m1"}, {"sha256", "x"}, {"ok", 3}}}};
  Results b = a;
  b.context["judges"]["relevance"]["ok"] = 4;
  CHECK(Mismatches(a, b).empty());
  b.context["judges"]["relevance"]["model"] = "m2";
  REQUIRE(Mismatches(a, b).size() == 1);
  CHECK(Mismatches(a, b)[0] == "judge relevance, model: m1 and m2");
  b.context["judges"] = nlohmann::json::object();
  CHECK(Mismatches(a, b).empty());
  a.context["speaker_model"] = {{"sha256", "1"}};
  CHECK(Mismatches(a, b).empty());
  b.context["speaker_model"] = {{"sha256", "2"}};
  CHECK(Mismatches(a, b).size() == 1);
}

TEST_CASE("a comparison as JSON") {
  const Results a = OneMetricResults(Latency(), {1, 2, std::nullopt});
  const Results b = OneMetricResults(Latency(), {3, 5, std::nullopt});
  const nlohmann::json json = nlohmann::json::parse(ToJson(Compare(a, b, {})));
  CHECK(json["schema"] == "ppx-eval/comparison");
  CHECK(json["options"]["alpha"] == 0.05);
  CHECK(json["options"]["seed"] == 1);
  const nlohmann::json& change = json["changes"][0];
  CHECK(change["a"] == 1.5);
  CHECK(change["difference"] == 2.5);
  CHECK(change["better"] == "lower");
  CHECK(change["verdict"] == "cannot tell");
  CHECK(change["own_n_a"] == 2);
  CHECK(json["samples"].size() == 2);
  CHECK(json["samples"][0]["id"] == "2");
  const Comparison none =
      Compare(OneMetricResults(Latency(), {std::nullopt}), OneMetricResults(Latency(), {1}), {});
  CHECK(nlohmann::json::parse(ToJson(none))["changes"][0]["difference"].is_null());
}

TEST_CASE("the same seed gives the same comparison, another one another interval") {
  Values first;
  Values second;
  for (int i = 0; i < 40; ++i) {
    first.emplace_back(0.1 * i);
    second.emplace_back(0.1 * ((i * 7) % 40) + 0.2);
  }
  const Results a = OneMetricResults(Latency(), first);
  const Results b = OneMetricResults(Latency(), second);
  CHECK(ToJson(Compare(a, b, {})) == ToJson(Compare(a, b, {})));
  CompareOptions other;
  other.bootstrap.seed = 2;
  CHECK(Compare(a, b, other).changes[0].interval->low !=
        Compare(a, b, {}).changes[0].interval->low);
  CompareOptions narrow;
  narrow.bootstrap.confidence = 0.5;
  CHECK(Compare(a, b, narrow).changes[0].interval->high <
        Compare(a, b, {}).changes[0].interval->high);
}

TEST_CASE("hostile text stays where it belongs") {
  const Results a = HostileResults();
  Results b = HostileResults();
  b.samples[0].values[0].value = 9;
  b.context["alignment"] = "stream" + kHostile;
  const Comparison comparison = Compare(a, b, {.allow_mismatch = true});
  CHECK(comparison.samples.size() == 1);
  CHECK_FALSE(Contains(ToTable(comparison), "\x1b"));
  CHECK_FALSE(Contains(ToMarkdown(comparison), "<b>"));
  CHECK(ValidUtf8(ToMarkdown(comparison)) == ToMarkdown(comparison));
  CHECK(nlohmann::json::parse(ToJson(comparison)).is_object());
}

}  // namespace ppx::report
