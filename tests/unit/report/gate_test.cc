#include "report/gate.h"

#include <pugixml.hpp>

#include "report/text.h"
#include "small_results.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::report {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr const char* kHead = "name: mine\nversion: 3\nrules:\n";
constexpr const char* kTakeover =
    "task: candor_turn_taking, scorer: fdb-exact, metric: takeover_rate";
constexpr const char* kLatency =
    "task: candor_turn_taking, scorer: event, metric: response_latency_s";

Gates Load(const std::string& yaml) {
  const testing::TempDir folder;
  testing::WriteFile(folder.File("g.yaml"), yaml);
  return LoadGates(folder.File("g.yaml"));
}

// One rule: `which` metric, then the rest of its keys.
Gates OneRule(const std::string& which, const std::string& rest) {
  return Load(kHead + ("  - {" + which + ", " + rest + "}\n"));
}

JudgedRule Judged(const Results& results, const Gates& gates, const Results* baseline = nullptr,
                  const JudgeOptions& options = {}) {
  const GateReport report = Judge(results, gates, baseline, options);
  REQUIRE(report.rules.size() == 1);
  CHECK(report.overall == report.rules[0].verdict);
  return report.rules[0];
}

void CheckVerdict(const JudgedRule& judged, RuleVerdict verdict, const std::string& reason) {
  CAPTURE(judged.reason);
  CHECK(judged.verdict == verdict);
  CHECK(Contains(judged.reason, reason));
}

Results Takeover(int ones, int n) { return OneMetricResults({}, Ones(ones, n)); }

}  // namespace

TEST_CASE("a gates file is read") {
  const Gates gates = Load(
      std::string(kHead) +
      "  - {task: a, scorer: b, metric: c, min: 0.5, max: 0.9, use: low, min_n: 20, max_unscored: "
      "0}\n"
      "  - task: d\n    scorer: e\n    metric: f\n    baseline: {margin: 0.02, test: interval}\n"
      "  - {task: g, scorer: h, metric: i, baseline: {margin: 0}}\n");
  CHECK(gates.name == "mine");
  CHECK(gates.version == 3);
  REQUIRE(gates.rules.size() == 3);
  CHECK(gates.rules[0].min == 0.5);
  CHECK(gates.rules[0].max == 0.9);
  CHECK(gates.rules[0].use == UsedEnd::kLow);
  CHECK(gates.rules[0].min_n == 20);
  CHECK(gates.rules[0].max_unscored == 0);
  CHECK_FALSE(gates.rules[0].baseline.has_value());
  CHECK(gates.rules[1].baseline->margin == 0.02);
  CHECK(gates.rules[1].baseline->interval);
  CHECK_FALSE(gates.rules[2].baseline->interval);
  CHECK(gates.rules[2].min_n == 1);
  CHECK(gates.rules[2].use == UsedEnd::kValue);
}

TEST_CASE("a slip of the pen in a gates file is an error with its place") {
  struct Case {
    std::string yaml;
    const char* message;
  };
  const std::string head = kHead;
  const Case cases[] = {
      {"name: x\nversion: 1\n", "'rules' is empty"},
      {"name: x\nversion: 1\nrules: []\n", "'rules' is empty"},
      {"version: 1\nrules: []\n", "'name' is missing"},
      {"name: x\nrules: []\n", "'version' is missing"},
      {head + "  - {task: a, scorer: b, metric: c}\n", "has no rule: give min, max or baseline"},
      {head + "  - {task: a, scorer: b, metric: c, min: 1, mxa: 2}\n",
       "g.yaml:4:45: unknown key 'mxa'"},
      {head + "  - {task: a, scorer: b, metric: c, min: high}\n", "'min' must be a number"},
      {head + "  - {task: a, scorer: b, metric: c, min: .nan}\n", "'min' must be a finite number"},
      {head + "  - {task: a, scorer: b, metric: c, min: 2, max: 1}\n", "'min' is above 'max'"},
      {head + "  - {task: a, scorer: b, metric: c, min: 2, use: best}\n", "'use' is 'best'"},
      {head + "  - {task: a, scorer: b, metric: c, min: 2, min_n: 0}\n", "'min_n' must be"},
      {head + "  - {task: a, scorer: b, metric: c, min: 2, max_unscored: -1}\n",
       "'max_unscored' must be"},
      {head + "  - {task: a, scorer: b, metric: c, baseline: {}}\n", "'margin' is missing"},
      {head + "  - {task: a, scorer: b, metric: c, baseline: {margin: -1}}\n",
       "'margin' must be 0 or more"},
      {head + "  - {task: a, scorer: b, metric: c, baseline: {margin: 1, test: t}}\n",
       "'test' is 't'"},
      {head + "  - {task: a, scorer: b, metric: c, baseline: {margin: 1, x: 1}}\n",
       "unknown key 'x'"},
      {head + "  - 3\n", "a rule must be a mapping"},
      {head + "  - {task: a, scorer: b, metric: c, min: 1}\nextra: 1\n",
       "g.yaml:5:1: unknown key 'extra'"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.yaml);
    const testing::Thrown thrown = testing::ErrorOf([&] { Load(c.yaml); });
    CAPTURE(thrown.message);
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CHECK(thrown.Mentions("g.yaml:"));
    CHECK(thrown.Mentions(c.message));
  }
  CHECK(testing::ErrorOf([] { LoadGates("/no/such/file.yaml"); }).code ==
        base::ErrorCode::kBadInput);
}

TEST_CASE("thresholds: met at the limit, broken beyond it") {
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kTakeover, "min: 0.8")), RuleVerdict::kPass,
               "0.800 (n = 10)");
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kTakeover, "max: 0.8")), RuleVerdict::kPass, "");
  CheckVerdict(Judged(Takeover(7, 10), OneRule(kTakeover, "min: 0.8")), RuleVerdict::kFail,
               "0.700 (n = 10) is below 0.8");
  CheckVerdict(Judged(Takeover(9, 10), OneRule(kTakeover, "max: 0.8")), RuleVerdict::kFail,
               "0.900 (n = 10) is above 0.8");
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kTakeover, "min: 0.7, max: 0.9")),
               RuleVerdict::kPass, "");
}

TEST_CASE("either end of the interval can be judged") {
  // Clopper-Pearson for 8 of 10: [0.444, 0.975].
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kTakeover, "min: 0.5, use: low")),
               RuleVerdict::kFail, "0.444");
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kTakeover, "min: 0.4, use: low")),
               RuleVerdict::kPass, "0.444");
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kTakeover, "max: 0.9, use: high")),
               RuleVerdict::kFail, "0.975");
  CheckVerdict(Judged(OneMetricResults(Latency(), {0.5}), OneRule(kLatency, "max: 1, use: high")),
               RuleVerdict::kCouldNotJudge, "no interval");
}

TEST_CASE("what cannot be judged is neither a pass nor a fail") {
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kLatency, "max: 1")), RuleVerdict::kCouldNotJudge,
               "no such metric");
  CheckVerdict(Judged(OneMetricResults({}, {std::nullopt}), OneRule(kTakeover, "min: 0.5")),
               RuleVerdict::kCouldNotJudge, "no value (n = 0)");
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kTakeover, "min: 0.5, min_n: 11")),
               RuleVerdict::kCouldNotJudge, "n = 10, at least 11 are wanted");
  CheckVerdict(Judged(Takeover(8, 10), OneRule(kTakeover, "min: 0.5, min_n: 10")),
               RuleVerdict::kPass, "");
  const Results gaps = OneMetricResults({}, {1, 1, std::nullopt, std::nullopt});
  CheckVerdict(Judged(gaps, OneRule(kTakeover, "min: 0.5, max_unscored: 1")),
               RuleVerdict::kCouldNotJudge, "2 samples without a value, at most 1 are allowed");
  CheckVerdict(Judged(gaps, OneRule(kTakeover, "min: 0.5, max_unscored: 2")), RuleVerdict::kPass,
               "");
  CheckVerdict(Judged(Results{}, OneRule(kTakeover, "min: 0.5")), RuleVerdict::kCouldNotJudge, "");
}

TEST_CASE("no worse than a baseline, by the value") {
  const Gates gates = OneRule(kTakeover, "baseline: {margin: 0.1}");
  const Results baseline = Takeover(16, 20);
  CheckVerdict(Judged(Takeover(20, 20), gates, &baseline), RuleVerdict::kPass, "baseline 0.800");
  CheckVerdict(Judged(Takeover(15, 20), gates, &baseline), RuleVerdict::kPass, "");
  CheckVerdict(Judged(Takeover(13, 20), gates, &baseline), RuleVerdict::kFail,
               "worse by more than 0.1");
}

TEST_CASE("worse is up where lower is better") {
  const Gates gates = OneRule(kLatency, "baseline: {margin: 0.1}");
  const Results baseline = OneMetricResults(Latency(), {0.5, 0.5});
  CheckVerdict(Judged(OneMetricResults(Latency(), {0.1, 0.1}), gates, &baseline),
               RuleVerdict::kPass, "");
  CheckVerdict(Judged(OneMetricResults(Latency(), {0.7, 0.7}), gates, &baseline),
               RuleVerdict::kFail, "worse");
}

TEST_CASE("no worse than a baseline, by the interval: broken only where it is certain") {
  const Gates gates = OneRule(kTakeover, "baseline: {margin: 0.1, test: interval}");
  const Results baseline = Takeover(20, 20);
  CheckVerdict(Judged(Takeover(17, 20), gates, &baseline), RuleVerdict::kPass, "over 20 samples");
  CheckVerdict(Judged(Takeover(4, 20), gates, &baseline), RuleVerdict::kFail, "worse");
  CheckVerdict(Judged(Takeover(1, 1), gates, &baseline), RuleVerdict::kCouldNotJudge, "too few");

  const Gates latency = OneRule(kLatency, "baseline: {margin: 0.1, test: interval}");
  const Results fast = OneMetricResults(Latency(), {0.1, 0.2, 0.3, 0.4});
  CheckVerdict(Judged(OneMetricResults(Latency(), {0.5, 0.7, 0.7, 0.9}), latency, &fast),
               RuleVerdict::kFail, "worse");
  CheckVerdict(Judged(fast, latency, &fast), RuleVerdict::kPass, "");
}

TEST_CASE("a baseline that is missing or was made differently cannot be judged against") {
  const Gates gates = OneRule(kTakeover, "baseline: {margin: 0.1}");
  CheckVerdict(Judged(Takeover(8, 10), gates), RuleVerdict::kCouldNotJudge,
               "no baseline was given (--baseline)");
  Results other = Takeover(8, 10);
  other.context["alignment"] = "live";
  CheckVerdict(Judged(Takeover(8, 10), gates, &other), RuleVerdict::kCouldNotJudge, "alignment");
  CheckVerdict(Judged(Takeover(8, 10), gates, &other, {.allow_mismatch = true}), RuleVerdict::kPass,
               "");
  const Results empty = OneMetricResults(Latency(), {1});
  CheckVerdict(Judged(Takeover(8, 10), gates, &empty), RuleVerdict::kCouldNotJudge,
               "the baseline has no value");
  OneMetric aimless;
  aimless.direction = Direction::kNone;
  const Results drift = OneMetricResults(aimless, Ones(1, 2));
  CheckVerdict(Judged(drift, gates, &drift), RuleVerdict::kCouldNotJudge, "no better direction");
}

TEST_CASE("a broken threshold is a fail, whatever the baseline says") {
  CheckVerdict(Judged(Takeover(1, 10), OneRule(kTakeover, "min: 0.5, baseline: {margin: 0.1}")),
               RuleVerdict::kFail, "below 0.5");
  CheckVerdict(Judged(Takeover(9, 10), OneRule(kTakeover, "min: 0.5, baseline: {margin: 0.1}")),
               RuleVerdict::kCouldNotJudge, "no baseline");
}

TEST_CASE("a fail outweighs what could not be judged, which outweighs a pass") {
  const std::string pass = "  - {" + std::string(kTakeover) + ", min: 0.5}\n";
  const std::string fail = "  - {" + std::string(kTakeover) + ", max: 0.5}\n";
  const std::string open = "  - {" + std::string(kLatency) + ", max: 0.5}\n";
  const auto report = [&](const std::string& rules) {
    return Judge(Takeover(8, 10), Load(kHead + rules), nullptr, {});
  };
  CHECK(GateExitCode(report(pass)) == 0);
  CHECK(GateExitCode(report(pass + fail)) == 1);
  CHECK(GateExitCode(report(pass + open)) == 2);
  CHECK(GateExitCode(report(open + fail)) == 1);
  CHECK(GateExitCode(report(fail + open + pass)) == 1);
}

TEST_CASE("text: a line for every rule that does not hold") {
  const Gates gates = Load(std::string(kHead) + "  - {" + kTakeover + ", min: 0.5}\n  - {" +
                           kTakeover + ", max: 0.5}\n  - {" + kLatency + ", max: 0.5}\n");
  const GateReport report = Judge(Takeover(8, 10), gates, nullptr, {});
  CHECK(ToText(report) ==
        "fail: candor_turn_taking fdb-exact takeover_rate: 0.800 (n = 10) is above 0.5\n"
        "could not judge: candor_turn_taking event response_latency_s: the results have no such "
        "metric\n"
        "fail: 1 of 3 rules hold (mine version 3)\n");
  const std::string markdown = ToMarkdown(report);
  CHECK(Contains(markdown, "## ppx-eval gate: fail\n"));
  CHECK(Contains(markdown,
                 "| candor\\_turn\\_taking fdb-exact takeover\\_rate | pass | 0.800 (n = "
                 "10) |"));
}

TEST_CASE("JUnit: counts, cases, failures and errors") {
  const Gates gates = Load(std::string(kHead) + "  - {" + kTakeover + ", min: 0.5}\n  - {" +
                           kTakeover + ", max: 0.5}\n  - {" + kLatency + ", max: 0.5}\n");
  pugi::xml_document document;
  REQUIRE(document.load_string(ToJunit(Judge(Takeover(8, 10), gates, nullptr, {})).c_str()));
  const pugi::xml_node suite = document.child("testsuites").child("testsuite");
  CHECK(std::string(suite.attribute("name").value()) == "mine version 3");
  CHECK(suite.attribute("tests").as_int() == 3);
  CHECK(suite.attribute("failures").as_int() == 1);
  CHECK(suite.attribute("errors").as_int() == 1);
  std::vector<std::string> children;
  for (const pugi::xml_node& test : suite.children("testcase")) {
    CHECK_FALSE(std::string(test.attribute("name").value()).empty());
    children.emplace_back(test.first_child().name());
  }
  CHECK(children == std::vector<std::string>{"", "failure", "error"});
  CHECK(Contains(suite.last_child().child("error").attribute("message").value(), "no such metric"));
}

TEST_CASE("JUnit is XML whatever the text") {
  GateReport report;
  report.gates = kHostile;
  report.overall = RuleVerdict::kFail;
  report.rules = {
      {kHostile + std::string("\0\x01\x1f\xef\xbf\xbf", 6), RuleVerdict::kFail, kHostile},
      {"b", RuleVerdict::kCouldNotJudge, kHostile}};
  const std::string xml = ToJunit(report);
  CHECK(ValidUtf8(xml) == xml);
  for (const char c : xml) {
    const bool control = static_cast<unsigned char>(c) < ' ' && c != '\n';
    CHECK_FALSE(control);
  }
  // References to control characters are as wrong as these themselves.
  CHECK_FALSE(Contains(xml, "&#"));
  CHECK_FALSE(Contains(xml, "\xef\xbf\xbf"));
  pugi::xml_document document;
  REQUIRE(document.load_string(xml.c_str()));
  const pugi::xml_node test = document.child("testsuites").child("testsuite").child("testcase");
  CHECK(test.child("failure").attribute("message").value() == Printable(kHostile));
  CHECK_FALSE(Contains(ToText(report), "\x1b"));
  CHECK_FALSE(Contains(ToMarkdown(report), "<b>"));
}

TEST_CASE("the gates that are shipped can be read, and name what suites score") {
  const Gates absolute = LoadGates(PPX_SOURCE_DIR "/eval/gates/personaplex-v1.yaml");
  CHECK(absolute.name == "personaplex-v1");
  CHECK_FALSE(absolute.rules.empty());
  for (const Rule& rule : absolute.rules) CHECK_FALSE(rule.baseline.has_value());
  const Gates relative = LoadGates(PPX_SOURCE_DIR "/eval/gates/no-worse-than-baseline.yaml");
  CHECK(relative.name == "no-worse-than-baseline");
  for (const Rule& rule : relative.rules) CHECK(rule.baseline.has_value());
  const std::string suite = testing::ReadFile(PPX_SOURCE_DIR "/eval/fdb-v1.0.yaml");
  for (const Gates* gates : {&absolute, &relative}) {
    for (const Rule& rule : gates->rules) {
      CHECK(Contains(suite, "\n  " + rule.task + ":\n"));
      CHECK(Contains(suite, "\n      " + rule.metric + ": "));
    }
  }
}

}  // namespace ppx::report
