#include "report/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <pugixml.hpp>
#include <sstream>

#include "base/small_file.h"
#include "base/strict_yaml.h"
#include "report/compare.h"
#include "report/text.h"

namespace ppx::report {
namespace {

constexpr size_t kMaxGatesBytes = size_t{1} << 20;
constexpr int64_t kMostSamples = 1'000'000'000;

Rule ReadRule(base::YamlMap map) {
  Rule rule;
  rule.task = map.Text("task");
  rule.scorer = map.Text("scorer");
  rule.metric = map.Text("metric");
  rule.min = map.MaybeNumber("min");
  rule.max = map.MaybeNumber("max");
  if (map.Has("use")) rule.use = static_cast<UsedEnd>(map.Choice("use", {"value", "low", "high"}));
  rule.min_n = map.Whole("min_n", 1, kMostSamples, 1);
  if (map.Has("max_unscored")) rule.max_unscored = map.Whole("max_unscored", 0, kMostSamples);
  if (map.Has("baseline")) {
    base::YamlMap inner = map.Map("baseline", "a baseline rule");
    BaselineRule baseline;
    baseline.margin = inner.Number("margin");
    if (baseline.margin < 0) inner.Fail("margin", "must be 0 or more");
    if (inner.Has("test")) baseline.interval = inner.Choice("test", {"point", "interval"}) == 1;
    inner.Done();
    rule.baseline = baseline;
  }
  if (!rule.min && !rule.max && !rule.baseline) {
    map.Fail("metric", "has no rule: give min, max or baseline");
  }
  if (rule.min && rule.max && *rule.min > *rule.max) map.Fail("min", "is above 'max'");
  map.Done();
  return rule;
}

const Metric* FindMetric(const Results& results, const Rule& rule) {
  const auto found =
      std::find_if(results.metrics.begin(), results.metrics.end(), [&](const Metric& metric) {
        return metric.task == rule.task && metric.scorer == rule.scorer &&
               metric.name == rule.metric;
      });
  return found == results.metrics.end() ? nullptr : &*found;
}

std::optional<double> UsedValue(const metrics::Estimate& estimate, UsedEnd use) {
  if (use == UsedEnd::kValue) return estimate.value;
  if (!estimate.interval) return std::nullopt;
  return use == UsedEnd::kLow ? estimate.interval->low : estimate.interval->high;
}

class RuleJudge {
 public:
  RuleJudge(const Results& results, const Results* baseline, const JudgeOptions& options)
      : results_(results), baseline_(baseline), options_(options) {
    if (baseline != nullptr) mismatches_ = Mismatches(*baseline, results);
  }

  JudgedRule Judge(const Rule& rule) {
    JudgedRule judged;
    judged.name = fmt::format("{} {} {}", rule.task, rule.scorer, rule.metric);
    const Metric* metric = FindMetric(results_, rule);
    const auto cannot = [&](std::string reason) {
      judged.verdict = RuleVerdict::kCouldNotJudge;
      judged.reason = std::move(reason);
      return judged;
    };
    if (metric == nullptr) return cannot("the results have no such metric");
    const metrics::Estimate& estimate = metric->estimate;
    const auto value = UsedValue(estimate, rule.use);
    if (!estimate.value) return cannot(fmt::format("no value (n = {})", estimate.n));
    if (!value) return cannot(fmt::format("no interval to judge (n = {})", estimate.n));
    if (estimate.n < rule.min_n) {
      return cannot(fmt::format("n = {}, at least {} are wanted", estimate.n, rule.min_n));
    }
    if (rule.max_unscored && estimate.n_unscored > *rule.max_unscored) {
      return cannot(fmt::format("{} samples without a value, at most {} are allowed",
                                estimate.n_unscored, *rule.max_unscored));
    }
    judged.verdict = RuleVerdict::kPass;
    judged.reason = fmt::format("{} (n = {})", ShortNumber(value), estimate.n);
    if (rule.min && *value < *rule.min) {
      judged.verdict = RuleVerdict::kFail;
      judged.reason += fmt::format(" is below {}", *rule.min);
    }
    if (rule.max && *value > *rule.max) {
      judged.verdict = RuleVerdict::kFail;
      judged.reason += fmt::format(" is above {}", *rule.max);
    }
    if (rule.baseline) AgainstBaseline(rule, *metric, judged);
    return judged;
  }

 private:
  void AgainstBaseline(const Rule& rule, const Metric& metric, JudgedRule& judged) {
    const auto cannot = [&](const std::string& reason) {
      if (judged.verdict == RuleVerdict::kFail) return;
      judged.verdict = RuleVerdict::kCouldNotJudge;
      judged.reason += "; " + reason;
    };
    if (baseline_ == nullptr) return cannot("no baseline was given (--baseline)");
    if (!mismatches_.empty() && !options_.allow_mismatch) {
      return cannot("the baseline was made differently: " + mismatches_.front());
    }
    if (metric.direction == Direction::kNone) return cannot("the metric has no better direction");
    const Metric* before = FindMetric(*baseline_, rule);
    if (before == nullptr || !before->estimate.value) return cannot("the baseline has no value");
    const double sign = metric.direction == Direction::kLowerIsBetter ? 1 : -1;
    double worsening = sign * (*metric.estimate.value - *before->estimate.value);
    std::string what = fmt::format("baseline {}", ShortNumber(before->estimate.value));
    if (rule.baseline->interval) {
      const MetricChange change = Change(rule);
      if (!change.interval) return cannot("too few samples in common with the baseline");
      // The end of the interval that is least bad.
      worsening = sign > 0 ? change.interval->low : -change.interval->high;
      what = fmt::format("difference {} over {} samples", ShortInterval(change.interval), change.n);
    }
    judged.reason += fmt::format(", {}", what);
    if (worsening > rule.baseline->margin) {
      judged.verdict = RuleVerdict::kFail;
      judged.reason += fmt::format(": worse by more than {}", rule.baseline->margin);
    }
  }

  MetricChange Change(const Rule& rule) {
    if (!comparison_) {
      CompareOptions options;
      options.allow_mismatch = true;
      comparison_ = Compare(*baseline_, results_, options);
    }
    for (const MetricChange& change : comparison_->changes) {
      if (change.task == rule.task && change.scorer == rule.scorer && change.name == rule.metric) {
        return change;
      }
    }
    return {};
  }

  const Results& results_;
  const Results* baseline_;
  const JudgeOptions& options_;
  std::vector<std::string> mismatches_;
  std::optional<Comparison> comparison_;  // made for the first rule that needs it
};

}  // namespace

Gates LoadGates(const std::string& path) {
  base::YamlMap map = base::ParseYaml(
      base::ReadSmallFile(path, kMaxGatesBytes, "a gates file (YAML)"), path, "gates");
  Gates gates;
  gates.path = path;
  gates.name = map.Text("name");
  gates.version = map.Whole("version", 1, kMostSamples);
  for (const YAML::Node& node : map.List("rules")) {
    gates.rules.push_back(ReadRule({node, path, "a rule"}));
  }
  if (gates.rules.empty()) map.Fail("rules", "is empty: a gate without rules would always pass");
  map.Done();
  return gates;
}

std::string_view Name(RuleVerdict verdict) {
  switch (verdict) {
    case RuleVerdict::kPass:
      return "pass";
    case RuleVerdict::kFail:
      return "fail";
    case RuleVerdict::kCouldNotJudge:
      break;
  }
  return "could not judge";
}

GateReport Judge(const Results& results, const Gates& gates, const Results* baseline,
                 const JudgeOptions& options) {
  RuleJudge judge(results, baseline, options);
  GateReport report;
  report.gates = fmt::format("{} version {}", gates.name, gates.version);
  report.overall = RuleVerdict::kPass;
  for (const Rule& rule : gates.rules) {
    report.rules.push_back(judge.Judge(rule));
    const RuleVerdict verdict = report.rules.back().verdict;
    const bool worse = verdict == RuleVerdict::kFail || (verdict == RuleVerdict::kCouldNotJudge &&
                                                         report.overall == RuleVerdict::kPass);
    if (worse) report.overall = verdict;
  }
  return report;
}

int GateExitCode(const GateReport& report) { return static_cast<int>(report.overall); }

std::string ToText(const GateReport& report) {
  std::string text;
  for (const JudgedRule& rule : report.rules) {
    if (rule.verdict == RuleVerdict::kPass) continue;
    text += fmt::format("{}: {}: {}\n", Name(rule.verdict), Printable(rule.name),
                        Printable(rule.reason));
  }
  const auto passed =
      std::count_if(report.rules.begin(), report.rules.end(),
                    [](const JudgedRule& r) { return r.verdict == RuleVerdict::kPass; });
  return text + fmt::format("{}: {} of {} rules hold ({})\n", Name(report.overall), passed,
                            report.rules.size(), Printable(report.gates));
}

std::string ToMarkdown(const GateReport& report) {
  std::vector<std::vector<std::string>> rows{{"rule", "verdict", "reason"}};
  for (const JudgedRule& rule : report.rules) {
    rows.push_back({rule.name, std::string(Name(rule.verdict)), rule.reason});
  }
  return fmt::format("## ppx-eval gate: {}\n\n{}\n\n{}", Name(report.overall),
                     EscapeMarkdown(report.gates), MarkdownTable(rows));
}

std::string ToJunit(const GateReport& report) {
  // XML 1.0 knows no control characters, not even as entities: all text is made printable.
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node suites = document.append_child("testsuites");
  pugi::xml_node suite = suites.append_child("testsuite");
  const auto count = [&](RuleVerdict verdict) {
    return std::count_if(report.rules.begin(), report.rules.end(),
                         [&](const JudgedRule& rule) { return rule.verdict == verdict; });
  };
  suite.append_attribute("name") = Printable(report.gates).c_str();
  suite.append_attribute("tests") = static_cast<unsigned long long>(report.rules.size());
  suite.append_attribute("failures") = static_cast<long long>(count(RuleVerdict::kFail));
  suite.append_attribute("errors") = static_cast<long long>(count(RuleVerdict::kCouldNotJudge));
  for (const JudgedRule& rule : report.rules) {
    pugi::xml_node test = suite.append_child("testcase");
    test.append_attribute("classname") = "ppx-eval gate";
    test.append_attribute("name") = Printable(rule.name).c_str();
    if (rule.verdict == RuleVerdict::kPass) continue;
    pugi::xml_node problem =
        test.append_child(rule.verdict == RuleVerdict::kFail ? "failure" : "error");
    problem.append_attribute("message") = Printable(rule.reason).c_str();
  }
  std::ostringstream text;
  document.save(text, "  ");
  return text.str();
}

}  // namespace ppx::report
