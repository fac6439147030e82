#include "report/results_json.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "metrics/scored.h"

namespace ppx::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSchemaName = "ppx-eval/results";
constexpr uint64_t kMostCounted = 1'000'000'000;
// Of nested lists and objects, that hostile files cannot exhaust the stack.
constexpr int kMostNested = 64;
constexpr std::array<std::string_view, 3> kDirections{"none", "higher", "lower"};
constexpr std::array<std::string_view, 2> kKinds{"rate", "mean"};

// JSON has no NaN: it would become a null without a reason.
Json Number(const std::optional<double>& value) {
  if (!value) return {};
  if (!std::isfinite(*value)) base::ThrowInternal("a result that is not a finite number");
  return *value;
}

Json Pair(const std::optional<metrics::Interval>& interval) {
  return interval ? Json::array({Number(interval->low), Number(interval->high)}) : Json();
}

Json ToJson(const Metric& metric) {
  Json json;
  json["task"] = metric.task;
  json["scorer"] = metric.scorer;
  json["name"] = metric.name;
  json["unit"] = metric.unit;
  json["kind"] = Name(metric.kind);
  json["better"] = Name(metric.direction);
  const metrics::Estimate& estimate = metric.estimate;
  json["value"] = Number(estimate.value);
  json["interval"] = Pair(estimate.interval);
  json["interval_method"] = estimate.interval_method;
  json["n"] = estimate.n;
  json["n_unscored"] = estimate.n_unscored;
  json["sd"] = Number(estimate.sd);
  json["median"] = Number(estimate.median);
  json["p90"] = Number(estimate.p90);
  json["statuses"] = estimate.statuses;
  json["references"] = Json::array();
  for (const Reference& reference : metric.references) {
    json["references"].push_back({{"system", reference.system},
                                  {"source", reference.source},
                                  {"value", Number(reference.value)}});
  }
  return json;
}

Json ToJson(const PairedTestRow& row) {
  return {{"task", row.task},
          {"name", row.name},
          {"comparison", row.comparison},
          {"n_used", row.test.n_used},
          {"n_dropped", row.test.n_dropped},
          {"mean_difference", Number(row.test.mean_difference)},
          {"interval", Pair(row.test.interval)},
          {"t", Number(row.test.t)},
          {"degrees_of_freedom", row.test.degrees_of_freedom},
          {"p", Number(row.test.p)},
          {"p_holm", Number(row.p_holm)},
          {"cohen_dz", Number(row.test.cohen_dz)}};
}

Json ToJson(const SampleRow& row) {
  Json json;
  json["task"] = row.task;
  json["id"] = row.id;
  json["folder"] = row.folder;
  json["scored"] = row.scored;
  json["reason"] = row.reason;
  json["flags"] = row.flags;
  json["values"] = Json::array();
  for (const SampleValue& value : row.values) {
    json["values"].push_back({{"scorer", value.scorer},
                              {"name", value.name},
                              {"value", Number(value.value)},
                              {"status", value.status}});
  }
  return json;
}

// One object of the file, its place known for messages.
class Reader {
 public:
  Reader(const Json& json, std::string file, std::string place)
      : json_(json), file_(std::move(file)), place_(std::move(place)) {
    if (!json_.is_object()) Fail("", "an object");
  }

  [[noreturn]] void Fail(const std::string& key, const std::string& expected) const {
    const std::string dot = place_.empty() || key.empty() ? "" : ".";
    const std::string field = place_ + dot + key;
    base::ThrowBadInput(
        fmt::format("{}: {} must be {}", file_, field.empty() ? "the document" : field, expected));
  }
  const Json& At(const std::string& key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) {
      base::ThrowBadInput(
          fmt::format("{}: {}{}'{}' is missing", file_, place_, place_.empty() ? "" : ": ", key));
    }
    return *found;
  }
  std::string Text(const std::string& key) const {
    if (!At(key).is_string()) Fail(key, "a text");
    return At(key).get<std::string>();
  }
  int64_t Whole(const std::string& key) const {
    const Json& value = At(key);
    if (!value.is_number_unsigned() || value.get<uint64_t>() > kMostCounted) {
      Fail(key, fmt::format("a whole number of 0 to {}", kMostCounted));
    }
    return value.get<int64_t>();
  }
  bool Flag(const std::string& key) const {
    if (!At(key).is_boolean()) Fail(key, "true or false");
    return At(key).get<bool>();
  }
  std::optional<double> MaybeNumber(const std::string& key) const {
    if (At(key).is_null()) return std::nullopt;
    return Number(key);
  }
  double Number(const std::string& key) const {
    if (!At(key).is_number() || !std::isfinite(At(key).get<double>())) Fail(key, "a number");
    return At(key).get<double>();
  }
  std::optional<metrics::Interval> Interval(const std::string& key) const {
    const Json& pair = At(key);
    if (pair.is_null()) return std::nullopt;
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number() || !pair[1].is_number()) {
      Fail(key, "null or [low, high]");
    }
    const metrics::Interval interval{pair[0].get<double>(), pair[1].get<double>()};
    if (interval.low > interval.high) Fail(key, "[low, high] in this order");
    return interval;
  }
  template <size_t kCount>
  size_t Choice(const std::string& key, const std::array<std::string_view, kCount>& names) const {
    const std::string text = Text(key);
    for (size_t i = 0; i < kCount; ++i) {
      if (names[i] == text) return i;
    }
    Fail(key, fmt::format("one of '{}'", fmt::join(names, "', '")));
  }
  std::vector<Reader> List(const std::string& key) const {
    if (!At(key).is_array()) Fail(key, "a list");
    std::vector<Reader> readers;
    size_t i = 0;
    for (const Json& item : At(key)) {
      readers.emplace_back(item, file_,
                           fmt::format("{}{}{}[{}]", place_, place_.empty() ? "" : ".", key, i++));
    }
    return readers;
  }

 private:
  const Json& json_;
  std::string file_;
  std::string place_;
};

Metric ReadMetric(const Reader& reader) {
  Metric metric;
  metric.task = reader.Text("task");
  metric.scorer = reader.Text("scorer");
  metric.name = reader.Text("name");
  metric.unit = reader.Text("unit");
  metric.kind = static_cast<MetricKind>(reader.Choice("kind", kKinds));
  metric.direction = static_cast<Direction>(reader.Choice("better", kDirections));
  metrics::Estimate& estimate = metric.estimate;
  estimate.value = reader.MaybeNumber("value");
  estimate.interval = reader.Interval("interval");
  estimate.interval_method = reader.Text("interval_method");
  estimate.n = reader.Whole("n");
  estimate.n_unscored = reader.Whole("n_unscored");
  estimate.sd = reader.MaybeNumber("sd");
  estimate.median = reader.MaybeNumber("median");
  estimate.p90 = reader.MaybeNumber("p90");
  const Json& statuses = reader.At("statuses");
  if (!statuses.is_object()) reader.Fail("statuses", "an object of counts");
  for (const auto& [status, count] : statuses.items()) {
    if (!count.is_number_unsigned()) reader.Fail("statuses", "an object of counts");
    estimate.statuses[status] = count.get<int64_t>();
  }
  for (const Reader& reference : reader.List("references")) {
    metric.references.push_back(
        {reference.Text("system"), reference.Text("source"), reference.Number("value")});
  }
  return metric;
}

PairedTestRow ReadPairedTest(const Reader& reader) {
  PairedTestRow row;
  row.task = reader.Text("task");
  row.name = reader.Text("name");
  row.comparison = reader.Text("comparison");
  row.test.n_used = reader.Whole("n_used");
  row.test.n_dropped = reader.Whole("n_dropped");
  row.test.mean_difference = reader.Number("mean_difference");
  row.test.interval = reader.Interval("interval");
  row.test.t = reader.MaybeNumber("t");
  row.test.degrees_of_freedom = reader.Whole("degrees_of_freedom");
  row.test.p = reader.MaybeNumber("p");
  row.p_holm = reader.MaybeNumber("p_holm");
  row.test.cohen_dz = reader.MaybeNumber("cohen_dz");
  return row;
}

SampleRow ReadSample(const Reader& reader) {
  SampleRow row;
  row.task = reader.Text("task");
  row.id = reader.Text("id");
  row.folder = reader.Text("folder");
  row.scored = reader.Flag("scored");
  row.reason = reader.Text("reason");
  const Json& flags = reader.At("flags");
  if (!flags.is_array()) reader.Fail("flags", "a list of texts");
  for (const Json& flag : flags) {
    if (!flag.is_string()) reader.Fail("flags", "a list of texts");
    row.flags.push_back(flag.get<std::string>());
  }
  for (const Reader& value : reader.List("values")) {
    row.values.push_back({value.Text("scorer"), value.Text("name"), value.MaybeNumber("value"),
                          value.Text("status")});
    if (row.values.back().value.has_value() != (row.values.back().status == metrics::kStatusOk)) {
      value.Fail("value", "a number where the status is 'ok', and null where it is not");
    }
  }
  return row;
}

}  // namespace

std::string_view Name(Direction direction) {
  return kDirections.at(static_cast<size_t>(direction));
}
std::string_view Name(MetricKind kind) { return kKinds.at(static_cast<size_t>(kind)); }

std::string ToJson(const Results& results) {
  Json json;
  json["schema"] = kSchemaName;
  json["schema_version"] = kSchemaVersion;
  json["scoring_version"] = results.scoring_version;
  json["context"] = results.context;
  json["metrics"] = Json::array();
  for (const Metric& metric : results.metrics) json["metrics"].push_back(ToJson(metric));
  json["paired_tests"] = Json::array();
  for (const PairedTestRow& row : results.paired_tests) json["paired_tests"].push_back(ToJson(row));
  json["samples"] = Json::array();
  for (const SampleRow& row : results.samples) json["samples"].push_back(ToJson(row));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Results ResultsFromJson(std::string_view text, const std::string& name) {
  Json json;
  try {
    json = Json::parse(text, [&](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
      if (depth > kMostNested) {
        base::ThrowBadInput(name + ": nested too deeply for results of ppx-eval score");
      }
      return true;
    });
  } catch (const Json::exception& error) {
    base::ThrowBadInput(
        fmt::format("{}: not JSON; expected results of ppx-eval score ({})", name, error.what()));
  }
  const Reader reader(json, name, "");
  if (reader.Text("schema") != kSchemaName) {
    base::ThrowBadInput(fmt::format("{}: no results of ppx-eval score (its schema is '{}')", name,
                                    reader.Text("schema")));
  }
  if (reader.Whole("schema_version") > kSchemaVersion) {
    base::ThrowBadInput(fmt::format(
        "{}: schema version {}, this program reads up to {}; use a newer ppx-eval, or score again",
        name, reader.Whole("schema_version"), kSchemaVersion));
  }
  Results results;
  results.scoring_version = static_cast<int>(reader.Whole("scoring_version"));
  const Json& context = reader.At("context");
  if (!context.is_object()) reader.Fail("context", "an object");
  results.context = nlohmann::json::parse(context.dump());
  std::set<std::tuple<std::string, std::string, std::string>> metrics;
  for (const Reader& item : reader.List("metrics")) {
    const Metric metric = ReadMetric(item);
    if (!metrics.emplace(metric.task, metric.scorer, metric.name).second) {
      item.Fail("", "another metric: task, scorer and name are those of an earlier one");
    }
    results.metrics.push_back(metric);
  }
  for (const Reader& row : reader.List("paired_tests")) {
    results.paired_tests.push_back(ReadPairedTest(row));
  }
  std::set<std::pair<std::string, std::string>> samples;
  for (const Reader& item : reader.List("samples")) {
    const SampleRow sample = ReadSample(item);
    if (!samples.emplace(sample.task, sample.id).second) {
      item.Fail("", "another sample: task and id are those of an earlier one");
    }
    results.samples.push_back(sample);
  }
  return results;
}

}  // namespace ppx::report
