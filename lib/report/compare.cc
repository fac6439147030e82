#include "report/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <tuple>

#include "base/error.h"
#include "metrics/descriptive.h"
#include "metrics/multiple_tests.h"
#include "metrics/paired_tests.h"
#include "metrics/power.h"
#include "report/results_json.h"
#include "report/text.h"

namespace ppx::report {
namespace {

using Rows = std::vector<std::vector<std::string>>;
using Key = std::tuple<std::string, std::string, std::string>;  // task, scorer, name
using SampleKey = std::pair<std::string, std::string>;          // task, id

constexpr const char* kOwnTitle = "Over all samples of each run";

struct Pair {
  SampleKey sample;
  double a = 0;
  double b = 0;
};

std::string Text(const nlohmann::json& value) {
  if (value.is_null()) return "not known";
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

nlohmann::json At(const Results& results, const char* key, const char* inner = nullptr) {
  const auto found = results.context.find(key);
  if (found == results.context.end()) return nullptr;
  if (inner == nullptr) return *found;
  if (!found->is_object()) return nullptr;
  const auto value = found->find(inner);
  return value == found->end() ? nlohmann::json() : *value;
}

std::map<SampleKey, const SampleRow*> ById(const Results& results) {
  std::map<SampleKey, const SampleRow*> rows;
  for (const SampleRow& row : results.samples) rows[{row.task, row.id}] = &row;
  return rows;
}

std::map<SampleKey, double> ValuesOf(const Results& results, const Metric& metric) {
  std::map<SampleKey, double> values;
  for (const SampleRow& row : results.samples) {
    if (row.task != metric.task) continue;
    for (const SampleValue& value : row.values) {
      if (value.scorer == metric.scorer && value.name == metric.name && value.value) {
        values[{row.task, row.id}] = *value.value;
      }
    }
  }
  return values;
}

double MeanOf(const std::vector<Pair>& pairs, double Pair::*side) {
  std::vector<double> values;
  for (const Pair& pair : pairs) values.push_back(pair.*side);
  return metrics::Mean(values);
}

void Test(const std::vector<double>& differences, const CompareOptions& options,
          MetricChange& change) {
  const metrics::PowerOptions power{.alpha = options.alpha};
  const bool yes_or_no = std::all_of(differences.begin(), differences.end(),
                                     [](double d) { return d == 0 || std::abs(d) == 1; });
  if (change.kind == MetricKind::kRate && yes_or_no) {
    const auto gained = std::count(differences.begin(), differences.end(), 1.0);
    const auto lost = std::count(differences.begin(), differences.end(), -1.0);
    change.test = "mcnemar";
    change.p = metrics::McNemarExact(lost, gained);
    const double discordant = static_cast<double>(gained + lost) / static_cast<double>(change.n);
    if (discordant > 0) {
      change.detectable = metrics::DetectableRateDifference(change.n, discordant, power);
    }
    return;
  }
  change.test = "permutation";
  change.p =
      metrics::PairedPermutation(differences, options.bootstrap.resamples, options.bootstrap.seed)
          .p;
  if (change.n >= 2) {
    change.detectable =
        metrics::DetectableMeanDifference(change.n, metrics::SampleSd(differences), power);
  }
}

// Holm over the tests of the changes that belong.
template <typename Belongs>
void AdjustFamily(std::vector<MetricChange>& changes, const Belongs& belongs) {
  std::vector<double> p_values;
  for (const MetricChange& change : changes) {
    if (change.p && belongs(change)) p_values.push_back(*change.p);
  }
  const auto adjusted = metrics::HolmAdjust(p_values);
  size_t next = 0;
  for (MetricChange& change : changes) {
    if (change.p && belongs(change)) change.p_holm = adjusted[next++];
  }
}

Verdict Judged(const MetricChange& change, double alpha) {
  if (!change.p_holm || !(*change.p_holm < alpha) || *change.difference == 0) {
    return Verdict::kCannotTell;
  }
  if (change.direction == Direction::kNone) return Verdict::kDiffers;
  const bool rose = *change.difference > 0;
  return rose == (change.direction == Direction::kHigherIsBetter) ? Verdict::kBetter
                                                                  : Verdict::kWorse;
}

std::string Label(const Metric& metric) {
  return fmt::format("{} {} {}", metric.task, metric.scorer, metric.name);
}

std::string Folder(const Results& results, const SampleRow& row) {
  const nlohmann::json root = At(results, "root");
  if (!root.is_string()) return row.folder;
  return (std::filesystem::path(root.get<std::string>()) / row.folder).string();
}

// Metrics whose value in a run is over other samples than those that both runs have.
std::vector<std::string> OwnLines(const Comparison& comparison) {
  std::vector<std::string> lines;
  for (const MetricChange& c : comparison.changes) {
    if (c.own_n_a == c.n && c.own_n_b == c.n) continue;
    lines.push_back(fmt::format(
        "{} {} {}: A {} (n = {}), B {} (n = {}); {} samples have a value in A alone, {} in B alone",
        c.task, c.scorer, c.name, ShortNumber(c.own_a), c.own_n_a, ShortNumber(c.own_b), c.own_n_b,
        c.only_a, c.only_b));
  }
  return lines;
}

Rows ChangeRows(const Comparison& comparison) {
  Rows rows{{"task", "metric", "scorer", "A", "B", "B - A", "interval", "n", "p", "p (Holm)",
             "detectable", "verdict"}};
  for (const MetricChange& change : comparison.changes) {
    rows.push_back({change.task, change.name, change.scorer, ShortNumber(change.a),
                    ShortNumber(change.b), ShortNumber(change.difference),
                    ShortInterval(change.interval), std::to_string(change.n), ShortP(change.p),
                    ShortP(change.p_holm), ShortNumber(change.detectable),
                    std::string(Name(change.verdict))});
  }
  return rows;
}

Rows SampleRows(const Comparison& comparison) {
  Rows rows{{"metric", "scorer", "A", "B", "folder in A", "folder in B"}};
  for (const SampleChange& change : comparison.samples) {
    rows.push_back({change.name, change.scorer, ShortNumber(change.a), ShortNumber(change.b),
                    change.folder_a, change.folder_b});
  }
  return rows;
}

}  // namespace

std::string_view Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kDiffers:
      return "differs";
    case Verdict::kCannotTell:
      break;
  }
  return "cannot tell";
}

std::vector<std::string> Mismatches(const Results& a, const Results& b) {
  struct Field {
    const char* what;
    const char* key;
    const char* inner;
  };
  constexpr Field kFields[] = {{"suite", "suite", "name"},
                               {"suite version", "suite", "version"},
                               {"transcripts from", "transcripts", "source"},
                               {"transcripts", "transcripts", "name"},
                               {"transcripts made by", "transcripts", "by"},
                               {"transcriber's version", "transcripts", "version"},
                               {"speech detector", "vad", "name"},
                               {"speech detector's version", "vad", "version"},
                               {"speech detector's file", "vad", "sha256"},
                               {"lead-in", "lead_in_s", nullptr},
                               {"tail", "tail_s", nullptr},
                               {"alignment", "alignment", nullptr}};
  std::vector<std::string> mismatches;
  const auto compare = [&](const std::string& what, const nlohmann::json& x,
                           const nlohmann::json& y) {
    if (x != y) mismatches.push_back(fmt::format("{}: {} and {}", what, Text(x), Text(y)));
  };
  compare("scoring version", a.scoring_version, b.scoring_version);
  for (const Field& field : kFields) {
    compare(field.what, At(a, field.key, field.inner), At(b, field.key, field.inner));
  }
  const nlohmann::json judges_a = At(a, "judges");
  const nlohmann::json judges_b = At(b, "judges");
  if (judges_a.is_object() && judges_b.is_object()) {
    for (const auto& [name, judge] : judges_a.items()) {
      const auto other = judges_b.find(name);
      if (other == judges_b.end() || !judge.is_object() || !other->is_object()) continue;
      for (const char* field : {"model", "sha256"}) {
        compare(fmt::format("judge {}, {}", name, field), judge.value(field, nlohmann::json()),
                other->value(field, nlohmann::json()));
      }
    }
  }
  const nlohmann::json speaker_a = At(a, "speaker_model", "sha256");
  const nlohmann::json speaker_b = At(b, "speaker_model", "sha256");
  if (!speaker_a.is_null() && !speaker_b.is_null()) compare("speaker model", speaker_a, speaker_b);
  return mismatches;
}

Comparison Compare(const Results& a, const Results& b, const CompareOptions& options) {
  Comparison comparison;
  comparison.options = options;
  comparison.mismatches = Mismatches(a, b);
  if (!comparison.mismatches.empty() && !options.allow_mismatch) {
    base::ThrowUsage(fmt::format(
        "the results were made differently ({}); score them alike, or compare all the same with "
        "--allow-mismatch",
        fmt::join(comparison.mismatches, "; ")));
  }
  std::map<Key, const Metric*> in_b;
  for (const Metric& metric : b.metrics) in_b[{metric.task, metric.scorer, metric.name}] = &metric;
  const auto rows_a = ById(a);
  const auto rows_b = ById(b);
  for (const Metric& metric : a.metrics) {
    const auto other = in_b.find({metric.task, metric.scorer, metric.name});
    if (other == in_b.end()) {
      comparison.only_a.push_back(Label(metric));
      continue;
    }
    const metrics::Estimate& own_b = other->second->estimate;
    in_b.erase(other);
    const auto values_a = ValuesOf(a, metric);
    const auto values_b = ValuesOf(b, metric);
    std::vector<Pair> pairs;
    std::vector<double> differences;
    for (const auto& [sample, value] : values_a) {
      const auto found = values_b.find(sample);
      if (found == values_b.end()) continue;
      pairs.push_back({sample, value, found->second});
      differences.push_back(found->second - value);
    }
    MetricChange change;
    change.task = metric.task;
    change.scorer = metric.scorer;
    change.name = metric.name;
    change.unit = metric.unit;
    change.kind = metric.kind;
    change.direction = metric.direction;
    change.own_a = metric.estimate.value;
    change.own_b = own_b.value;
    change.own_n_a = metric.estimate.n;
    change.own_n_b = own_b.n;
    change.n = static_cast<int64_t>(pairs.size());
    change.only_a = static_cast<int64_t>(values_a.size()) - change.n;
    change.only_b = static_cast<int64_t>(values_b.size()) - change.n;
    if (!pairs.empty()) {
      change.a = MeanOf(pairs, &Pair::a);
      change.b = MeanOf(pairs, &Pair::b);
      change.difference = metrics::Mean(differences);
      change.interval = metrics::BcaIntervalOfMean(differences, options.bootstrap);
      Test(differences, options, change);
      const double spread = metrics::PopulationSd(differences);
      for (const Pair& pair : pairs) {
        if (pair.a == pair.b) continue;
        comparison.samples.push_back({metric.task, pair.sample.second, metric.scorer, metric.name,
                                      Folder(a, *rows_a.at(pair.sample)),
                                      Folder(b, *rows_b.at(pair.sample)), pair.a, pair.b,
                                      spread > 0 ? std::abs(pair.b - pair.a) / spread : 1.0});
      }
    }
    comparison.changes.push_back(std::move(change));
  }
  for (const auto& [key, metric] : in_b) comparison.only_b.push_back(Label(*metric));
  if (comparison.changes.empty()) {
    base::ThrowBadInput("the two results have no metric in common");
  }

  AdjustFamily(comparison.changes,
               [](const MetricChange& c) { return c.direction != Direction::kNone; });
  AdjustFamily(comparison.changes,
               [](const MetricChange& c) { return c.direction == Direction::kNone; });
  for (MetricChange& change : comparison.changes) change.verdict = Judged(change, options.alpha);
  std::stable_sort(comparison.samples.begin(), comparison.samples.end(),
                   [](const SampleChange& x, const SampleChange& y) {
                     return std::tie(y.spreads, x.task, x.id, x.scorer, x.name) <
                            std::tie(x.spreads, y.task, y.id, y.scorer, y.name);
                   });
  if (comparison.samples.size() > static_cast<size_t>(options.top)) {
    comparison.samples.resize(static_cast<size_t>(options.top));
  }
  return comparison;
}

std::string ToJson(const Comparison& comparison) {
  using Json = nlohmann::ordered_json;
  const auto number = [](const std::optional<double>& value) {
    return value ? Json(*value) : Json();
  };
  Json json;
  json["schema"] = "ppx-eval/comparison";
  json["schema_version"] = kSchemaVersion;
  json["options"] = {{"alpha", comparison.options.alpha},
                     {"confidence", comparison.options.bootstrap.confidence},
                     {"resamples", comparison.options.bootstrap.resamples},
                     {"seed", comparison.options.bootstrap.seed}};
  json["mismatches"] = comparison.mismatches;
  json["changes"] = Json::array();
  for (const MetricChange& c : comparison.changes) {
    json["changes"].push_back(
        {{"task", c.task},
         {"scorer", c.scorer},
         {"name", c.name},
         {"unit", c.unit},
         {"kind", Name(c.kind)},
         {"better", Name(c.direction)},
         {"n", c.n},
         {"only_a", c.only_a},
         {"only_b", c.only_b},
         {"a", number(c.a)},
         {"b", number(c.b)},
         {"own_a", number(c.own_a)},
         {"own_b", number(c.own_b)},
         {"own_n_a", c.own_n_a},
         {"own_n_b", c.own_n_b},
         {"difference", number(c.difference)},
         {"interval", c.interval ? Json::array({c.interval->low, c.interval->high}) : Json()},
         {"test", c.test},
         {"p", number(c.p)},
         {"p_holm", number(c.p_holm)},
         {"detectable", number(c.detectable)},
         {"verdict", Name(c.verdict)}});
  }
  json["samples"] = Json::array();
  for (const SampleChange& s : comparison.samples) {
    json["samples"].push_back({{"task", s.task},
                               {"id", s.id},
                               {"scorer", s.scorer},
                               {"name", s.name},
                               {"folder_a", s.folder_a},
                               {"folder_b", s.folder_b},
                               {"a", s.a},
                               {"b", s.b},
                               {"spreads", s.spreads}});
  }
  json["only_a"] = comparison.only_a;
  json["only_b"] = comparison.only_b;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ToTable(const Comparison& comparison) {
  std::string text;
  for (const std::string& line : comparison.mismatches) {
    text += fmt::format("made differently: {}\n", Printable(line));
  }
  constexpr size_t kLeft = 3;
  text += AlignColumns(ChangeRows(comparison), kLeft, 0);
  if (!comparison.samples.empty()) {
    text += "\nSamples that changed most\n" + AlignColumns(SampleRows(comparison), 2, 2);
  }
  const auto section = [&](const char* title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text += fmt::format("\n{}\n", title);
    for (const std::string& line : lines) text += fmt::format("  {}\n", Printable(line));
  };
  section(kOwnTitle, OwnLines(comparison));
  section("Only in A", comparison.only_a);
  section("Only in B", comparison.only_b);
  return text;
}

std::string ToMarkdown(const Comparison& comparison) {
  std::string text = "## ppx-eval compare\n\n";
  for (const std::string& line : comparison.mismatches) {
    text += fmt::format("- made differently: {}\n", EscapeMarkdown(line));
  }
  text += "\n" + MarkdownTable(ChangeRows(comparison));
  if (!comparison.samples.empty()) {
    text += "\n### Samples that changed most\n\n" + MarkdownTable(SampleRows(comparison));
  }
  const auto section = [&](const char* title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text += fmt::format("\n### {}\n\n", title);
    for (const std::string& line : lines) text += fmt::format("- {}\n", EscapeMarkdown(line));
  };
  section(kOwnTitle, OwnLines(comparison));
  section("Only in A", comparison.only_a);
  section("Only in B", comparison.only_b);
  return text;
}

}  // namespace ppx::report
