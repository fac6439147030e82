#include "report/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "report/text.h"

namespace ppx::report {
namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kReasonsShown = 5;
constexpr double kRateDisagreement = 0.05;
constexpr double kLatencyDisagreement = 0.1;

std::vector<std::string> TaskNames(const Results& results) {
  std::vector<std::string> names;
  for (const Metric& metric : results.metrics) {
    if (std::find(names.begin(), names.end(), metric.task) == names.end()) {
      names.push_back(metric.task);
    }
  }
  return names;
}

// "3 no_takeover, 1 broken"
std::string Unscored(const metrics::Estimate& estimate) {
  std::vector<std::string> parts;
  for (const auto& [status, count] : estimate.statuses) {
    if (status != "ok") parts.push_back(fmt::format("{} {}", count, status));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string Better(Direction direction) {
  switch (direction) {
    case Direction::kHigherIsBetter:
      return "higher";
    case Direction::kLowerIsBetter:
      return "lower";
    case Direction::kNone:
      break;
  }
  return "";
}

std::string Published(const Metric& metric) {
  std::vector<std::string> parts;
  // The system under test is most often PersonaPlex; others follow in the order of their file.
  constexpr size_t kShown = 3;
  for (const Reference& reference : metric.references) {
    if (parts.size() == kShown) break;
    parts.push_back(
        fmt::format("{:.3g} {} ({})", reference.value, reference.system, reference.source));
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

// The metrics of a task by name, where their scorers disagree.
using ByName = std::map<std::pair<std::string, std::string>, std::vector<const Metric*>>;

bool LessValue(const Metric* a, const Metric* b) { return a->estimate.value < b->estimate.value; }

ByName Disagreeing(const Results& results) {
  ByName by_name;
  for (const Metric& metric : results.metrics) {
    by_name[{metric.task, metric.name}].push_back(&metric);
  }
  std::erase_if(by_name, [](const ByName::value_type& entry) {
    const auto [least, most] =
        std::minmax_element(entry.second.begin(), entry.second.end(), LessValue);
    const auto low = (*least)->estimate.value;
    const auto high = (*most)->estimate.value;
    if (!low) return !high;
    const double limit =
        (*least)->kind == MetricKind::kRate ? kRateDisagreement : kLatencyDisagreement;
    return *high - *low < limit;
  });
  return by_name;
}

// "95 % interval"
std::string IntervalTitle(const Results& results) {
  const nlohmann::json::json_pointer place("/statistics/confidence");
  if (!results.context.contains(place) || !results.context.at(place).is_number()) return "interval";
  constexpr double kPercent = 100;
  return fmt::format("{:.4g} % interval", kPercent * results.context.at(place).get<double>());
}

Rows MetricRows(const Results& results, const std::string& task) {
  Rows rows{{"metric", "scorer", "better", "value", IntervalTitle(results), "n", "unscored"}};
  const ByName disagreeing = Disagreeing(results);
  for (const Metric& metric : results.metrics) {
    if (metric.task != task) continue;
    const bool marked = disagreeing.contains({metric.task, metric.name});
    rows.push_back(
        {metric.unit.empty() ? metric.name : fmt::format("{} ({})", metric.name, metric.unit),
         metric.scorer + (marked ? " *" : ""), Better(metric.direction),
         ShortNumber(metric.estimate.value), ShortInterval(metric.estimate.interval),
         std::to_string(metric.estimate.n), Unscored(metric.estimate)});
  }
  return rows;
}

Rows PublishedRows(const Results& results, const std::string& task) {
  Rows rows{{"published", "value", "system", "source"}};
  std::vector<std::string> seen;
  for (const Metric& metric : results.metrics) {
    if (metric.task != task) continue;
    for (const Reference& reference : metric.references) {
      const std::string key =
          fmt::format("{}|{}|{}", metric.name, reference.system, reference.source);
      if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
      seen.push_back(key);
      rows.push_back(
          {metric.name, ShortNumber(reference.value), reference.system, reference.source});
    }
  }
  return rows;
}

Rows TestRows(const Results& results) {
  // These intervals are 95 % ones whatever the others are.
  Rows rows{
      {"task", "measure", "comparison", "mean difference", "95 % interval", "n", "p", "p (Holm)"}};
  for (const PairedTestRow& row : results.paired_tests) {
    rows.push_back({row.task, row.name, row.comparison, ShortNumber(row.test.mean_difference),
                    ShortInterval(row.test.interval), std::to_string(row.test.n_used),
                    ShortP(row.test.p), ShortP(row.p_holm)});
  }
  return rows;
}

Rows FlagRows(const Results& results) {
  std::map<std::pair<std::string, std::string>, int64_t> counts;
  for (const SampleRow& sample : results.samples) {
    for (const std::string& flag : sample.flags) ++counts[{sample.task, flag}];
  }
  Rows rows{{"task", "flag", "samples"}};
  for (const auto& [key, count] : counts) {
    rows.push_back({key.first, key.second, std::to_string(count)});
  }
  return rows;
}

std::vector<std::string> BrokenLines(const Results& results) {
  std::vector<std::string> lines;
  for (const SampleRow& sample : results.samples) {
    if (sample.scored) continue;
    if (lines.size() == kReasonsShown) {
      lines.push_back(fmt::format("... and {} more",
                                  results.broken_samples() - static_cast<int64_t>(kReasonsShown)));
      break;
    }
    lines.push_back(fmt::format("{}: {}", sample.folder, sample.reason));
  }
  return lines;
}

std::string BrokenTitle(const Results& results) {
  return fmt::format("Not scored: {} of {} samples", results.broken_samples(),
                     results.samples.size());
}

// One line a fact of the context that decides whether numbers may be compared.
std::vector<std::string> ContextLines(const Results& results) {
  std::vector<std::string> lines;
  const auto text = [](const nlohmann::json& value) {
    return value.is_string() ? value.get<std::string>()
                             : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  };
  const auto field = [&](const nlohmann::json& object, const char* key) {
    return object.is_object() && object.contains(key) ? text(object.at(key)) : "";
  };
  const auto find = [&](const char* key) {
    const auto found = results.context.find(key);
    return found == results.context.end() ? nlohmann::json() : *found;
  };
  const nlohmann::json suite = find("suite");
  const nlohmann::json vad = find("vad");
  const nlohmann::json transcripts = find("transcripts");
  lines.push_back(fmt::format("suite {} version {}, speech by {} {}, transcripts: {} {}",
                              field(suite, "name"), field(suite, "version"), field(vad, "name"),
                              field(vad, "version"), field(transcripts, "source"),
                              field(transcripts, "name")));
  // What a latency from detected speech is off by; measured on scenes with known speech.
  const nlohmann::json bias = vad.is_object() ? vad.value("selftest", nlohmann::json()) : nullptr;
  const auto milliseconds = [&](const char* event) {
    const nlohmann::json& error = bias.at(event);
    if (!error.at("bias").is_number() || !error.at("sd").is_number())
      return std::string("not known");
    constexpr double kMilli = 1000;
    return fmt::format("{:+.0f} ms (sd {:.0f})", error.at("bias").get<double>() * kMilli,
                       error.at("sd").get<double>() * kMilli);
  };
  if (bias.is_object() && bias.contains("onset_s") && bias.contains("offset_s")) {
    lines.push_back(fmt::format("the detector's self-test: onsets {}, offsets {}",
                                milliseconds("onset_s"), milliseconds("offset_s")));
  }
  lines.push_back(fmt::format("lead-in {} s, tail {} s, alignment {} (null: not known)",
                              text(find("lead_in_s")), text(find("tail_s")),
                              text(find("alignment"))));
  return lines;
}

}  // namespace

std::vector<std::string> Disagreements(const Results& results) {
  std::vector<std::string> lines;
  for (const auto& [key, all] : Disagreeing(results)) {
    const auto [least, most] = std::minmax_element(all.begin(), all.end(), LessValue);
    lines.push_back(fmt::format("{} {}: {} {} (n = {}), {} {} (n = {})", key.first, key.second,
                                (*least)->scorer, ShortNumber((*least)->estimate.value),
                                (*least)->estimate.n, (*most)->scorer,
                                ShortNumber((*most)->estimate.value), (*most)->estimate.n));
  }
  return lines;
}

std::string ToTable(const Results& results) {
  constexpr size_t kLeft = 3;
  std::string text;
  for (const std::string& line : ContextLines(results)) text += Printable(line) + "\n";
  for (const std::string& task : TaskNames(results)) {
    text +=
        fmt::format("\n{}\n{}", Printable(task), AlignColumns(MetricRows(results, task), kLeft, 2));
    const Rows published = PublishedRows(results, task);
    if (published.size() > 1) text += fmt::format("\n{}", AlignColumns(published, 1, 2));
  }
  const auto section = [&](const std::string& title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text += fmt::format("\n{}\n", title);
    for (const std::string& line : lines) text += fmt::format("  {}\n", Printable(line));
  };
  section("The scorers disagree (*)", Disagreements(results));
  if (!results.paired_tests.empty()) {
    text += "\nPaired t tests\n" + AlignColumns(TestRows(results), kLeft, 2);
  }
  const Rows flags = FlagRows(results);
  if (flags.size() > 1) text += "\nFlags\n" + AlignColumns(flags, 2, 2);
  section(BrokenTitle(results), BrokenLines(results));
  return text;
}

std::string ToMarkdown(const Results& results) {
  std::string text = "## ppx-eval\n\n";
  for (const std::string& line : ContextLines(results)) text += EscapeMarkdown(line) + "\n";
  for (const std::string& task : TaskNames(results)) {
    text += fmt::format("\n### {}\n\n", EscapeMarkdown(task));
    Rows rows = MetricRows(results, task);
    rows.front().push_back("published");
    size_t i = 1;
    for (const Metric& metric : results.metrics) {
      if (metric.task == task) rows[i++].push_back(Published(metric));
    }
    text += MarkdownTable(rows);
  }
  const auto section = [&](const std::string& title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text += fmt::format("\n### {}\n\n", title);
    for (const std::string& line : lines) text += fmt::format("- {}\n", EscapeMarkdown(line));
  };
  section("The scorers disagree (*)", Disagreements(results));
  if (!results.paired_tests.empty()) {
    text += "\n### Paired t tests\n\n" + MarkdownTable(TestRows(results));
  }
  const Rows flags = FlagRows(results);
  if (flags.size() > 1) text += "\n### Flags\n\n" + MarkdownTable(flags);
  section(BrokenTitle(results), BrokenLines(results));
  return text;
}

}  // namespace ppx::report
