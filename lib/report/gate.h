// lib/report/gate.h: does a run pass? Rules in YAML (eval/gates), a verdict for each.
//
//   name: personaplex-v1
//   version: 1
//   rules:
//     - task: candor_turn_taking
//       scorer: fdb-exact
//       metric: takeover_rate
//       min: 0.9              # and / or max
//       use: low              # judge the interval's low or high end; default: value
//       min_n: 100            # fewer scored samples: could not judge
//       max_unscored: 5       # more unscored samples: could not judge
//     - task: candor_turn_taking
//       scorer: fdb-exact
//       metric: response_latency_s
//       baseline: {margin: 0.05, test: point}
//
// A baseline rule fails where the metric is worse than the baseline's by more than the margin: by
// its value (test: point), or by the whole interval of the paired difference (test: interval), so
// that it fails only where the worsening is certain.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/results.h"

namespace ppx::report {

enum class UsedEnd { kValue, kLow, kHigh };

struct BaselineRule {
  double margin = 0;  // in the metric's unit, 0 or more
  bool interval = false;
};

struct Rule {
  std::string task, scorer, metric;
  std::optional<double> min, max;
  UsedEnd use = UsedEnd::kValue;
  int64_t min_n = 1;
  std::optional<int64_t> max_unscored;
  std::optional<BaselineRule> baseline;
};

struct Gates {
  std::string path;
  std::string name;
  int64_t version = 1;
  std::vector<Rule> rules;
};

// Throws base::Error (kBadInput) with the place of what is wrong.
Gates LoadGates(const std::string& path);

enum class RuleVerdict { kPass, kFail, kCouldNotJudge };
// "pass", "fail", "could not judge".
std::string_view Name(RuleVerdict verdict);

struct JudgedRule {
  std::string name;  // "candor_turn_taking fdb-exact takeover_rate"
  RuleVerdict verdict = RuleVerdict::kCouldNotJudge;
  std::string reason;  // one line: value, n, threshold
};

struct GateReport {
  std::string gates;
  std::vector<JudgedRule> rules;
  RuleVerdict overall = RuleVerdict::kCouldNotJudge;  // fail before could-not-judge before pass
};

struct JudgeOptions {
  bool allow_mismatch = false;  // judge against a baseline that was made differently
};

// `baseline` may be null.
GateReport Judge(const Results& results, const Gates& gates, const Results* baseline,
                 const JudgeOptions& options);

// 0 pass, 1 fail, 2 could not judge.
int GateExitCode(const GateReport& report);

std::string ToText(
    const GateReport& report);  // one line a rule that does not pass, and a last line
std::string ToMarkdown(const GateReport& report);
std::string ToJunit(const GateReport& report);

}  // namespace ppx::report
