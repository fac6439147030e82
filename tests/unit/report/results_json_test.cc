#include "report/results_json.h"

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "small_results.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::report {
namespace {

using Json = nlohmann::json;
using valijson::adapters::NlohmannJsonAdapter;

class SchemaFile {
 public:
  explicit SchemaFile(const std::string& name) {
    std::ifstream file(PPX_SOURCE_DIR "/eval/schema/" + name);
    const Json json = Json::parse(file);
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(NlohmannJsonAdapter(json), schema_);
  }
  bool Accepts(const Json& document) const {
    valijson::Validator validator;
    valijson::ValidationResults problems;
    const NlohmannJsonAdapter target(document);
    const bool valid = validator.validate(schema_, target, &problems);
    valijson::ValidationResults::Error problem;
    while (problems.popError(problem)) last_problem_ = problem.description;
    return valid;
  }
  const std::string& last_problem() const { return last_problem_; }

 private:
  valijson::Schema schema_;
  mutable std::string last_problem_;
};

Json Full() { return Json::parse(ToJson(FullResults())); }

testing::Thrown ReadError(const Json& json) {
  return testing::ErrorOf([&] { ResultsFromJson(json.dump(), "r.json"); });
}

}  // namespace

TEST_CASE("results come back from their JSON, to the last bit") {
  const std::string text = ToJson(FullResults());
  const Results read = ResultsFromJson(text, "r.json");
  CHECK(ToJson(read) == text);
  CHECK(read.scoring_version == kScoringVersion);
  CHECK(read.context == FullResults().context);
  REQUIRE(read.metrics.size() == 4);
  const Metric& latency = read.metrics[2];
  CHECK(latency.unit == "s");
  CHECK(latency.direction == Direction::kLowerIsBetter);
  CHECK(latency.kind == MetricKind::kMean);
  CHECK(latency.estimate.value == FullResults().metrics[2].estimate.value);
  CHECK(latency.estimate.interval_method == "bca");
  CHECK(latency.estimate.n == 9);
  CHECK(latency.estimate.n_unscored == 1);
  CHECK(latency.estimate.statuses.at("no_response") == 1);
  CHECK(read.metrics[0].references[1].system == "Moshi");
  CHECK_FALSE(read.metrics[3].estimate.value.has_value());
  REQUIRE(read.paired_tests.size() == 2);
  CHECK(read.paired_tests[0].test.t == 1.7);
  CHECK(read.paired_tests[0].p_holm == 0.04);
  CHECK_FALSE(read.paired_tests[1].test.p.has_value());
  REQUIRE(read.samples.size() == 13);
  CHECK(read.samples[3].values[2].value == 1.0 / 3);
  CHECK(read.samples[1].flags == std::vector<std::string>{"no_speech", "noise_like"});
  CHECK(read.broken_samples() == 1);
}

TEST_CASE("empty results come back") {
  const std::string text = ToJson(Results{});
  CHECK(ToJson(ResultsFromJson(text, "r.json")) == text);
}

TEST_CASE("keys stand in a fixed order, numbers in their shortest form") {
  const std::string text = ToJson(FullResults());
  CHECK(text.starts_with("{\n  \"schema\": \"ppx-eval/results\",\n  \"schema_version\": 1,\n"));
  CHECK(text.find("\"context\"") < text.find("\"metrics\""));
  CHECK(text.find("\"metrics\"") < text.find("\"paired_tests\""));
  CHECK(text.find("\"paired_tests\"") < text.find("\"samples\""));
  CHECK(text.find("\"value\": 0.3333333333333333,") != std::string::npos);
  CHECK(text.find("\"value\": -0.25,") != std::string::npos);
}

TEST_CASE("a value that is absent is null beside its status, never 0") {
  const Json json = Full();
  const Json& value = json["samples"][2]["values"][2];
  CHECK(value["value"].is_null());
  CHECK(value["status"] == "no_response");
  CHECK(json["metrics"][3]["value"].is_null());
  CHECK(json["metrics"][3]["n"] == 0);
  CHECK(json["metrics"][3]["statuses"]["no_response"] == 2);
}

TEST_CASE("what is not finite is never written") {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Results results = FullResults();
    results.samples[0].values[0].value = bad;
    CHECK(testing::ErrorOf([&] { ToJson(results); }).code == base::ErrorCode::kInternal);
    results = FullResults();
    results.metrics[0].estimate.value = bad;
    CHECK(testing::ErrorOf([&] { ToJson(results); }).code == base::ErrorCode::kInternal);
    results = FullResults();
    results.metrics[0].references[0].value = bad;
    CHECK(testing::ErrorOf([&] { ToJson(results); }).code == base::ErrorCode::kInternal);
  }
}

TEST_CASE("hostile text is written and read; bytes that are not UTF-8 are replaced") {
  const Results read = ResultsFromJson(ToJson(HostileResults()), "r.json");
  const std::string& id = read.samples[2].folder;
  CHECK(id.find("=1+1|<b>&\"'`*_,\x1b[31m\r\n\xe6\x97\xa5\xe6\x9c\xac\xef\xbf\xbd]]>") == 0);
}

TEST_CASE("the schema takes what is written and refuses what is not") {
  const SchemaFile schema("results.schema.json");
  const Json good = Full();
  const bool accepted = schema.Accepts(good);
  INFO(schema.last_problem());
  CHECK(accepted);
  const auto broken = [&](const char* place, const Json& value) {
    Json json = good;
    json[Json::json_pointer(place)] = value;
    return json;
  };
  CHECK_FALSE(schema.Accepts(broken("/schema", "other")));
  CHECK_FALSE(schema.Accepts(broken("/schema_version", 2)));
  CHECK_FALSE(schema.Accepts(broken("/scoring_version", "1")));
  CHECK_FALSE(schema.Accepts(broken("/metrics/0/value", "0.9")));
  CHECK_FALSE(schema.Accepts(broken("/metrics/0/interval", {1})));
  CHECK_FALSE(schema.Accepts(broken("/metrics/0/kind", "median")));
  CHECK_FALSE(schema.Accepts(broken("/metrics/0/n", -1)));
  CHECK_FALSE(schema.Accepts(broken("/metrics/0/surprise", 1)));
  CHECK_FALSE(schema.Accepts(broken("/samples/0/scored", 1)));
  CHECK_FALSE(schema.Accepts(broken("/samples/0/values/0/status", nullptr)));
  CHECK_FALSE(schema.Accepts(broken("/paired_tests/0/p", "small")));
  for (const char* key : {"schema", "schema_version", "scoring_version", "context", "metrics",
                          "paired_tests", "samples"}) {
    Json json = good;
    json.erase(key);
    CHECK_FALSE(schema.Accepts(json));
  }
}

TEST_CASE("a newer layout is refused by its number") {
  Json json = Full();
  json["schema_version"] = 7;
  const testing::Thrown thrown = ReadError(json);
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("schema version 7"));
  CHECK(thrown.Mentions("r.json"));
}

TEST_CASE("what does not fit is named by its place") {
  struct Case {
    const char* place;
    Json value;
    const char* message;
  };
  const Case cases[] = {
      {"/schema", "x", "'x'"},
      {"/schema", 1, "schema must be a text"},
      {"/scoring_version", -1, "scoring_version must be a whole number"},
      {"/scoring_version", 1.5, "scoring_version must be a whole number"},
      {"/scoring_version", 1e18, "scoring_version must be a whole number"},
      {"/context", Json::array(), "context must be an object"},
      {"/metrics", Json::object(), "metrics must be a list"},
      {"/metrics/1", 3, "metrics[1] must be an object"},
      {"/metrics/1/value", "3", "metrics[1].value must be a number"},
      {"/metrics/1/kind", "x", "metrics[1].kind must be one of 'rate', 'mean'"},
      {"/metrics/1/better", "up", "metrics[1].better must be one of"},
      {"/metrics/1/n", -3, "metrics[1].n must be a whole number"},
      {"/metrics/1/interval", {1, 2, 3}, "metrics[1].interval must be null or [low, high]"},
      {"/metrics/1/interval", {2, 1}, "metrics[1].interval must be [low, high] in this order"},
      {"/metrics/1/statuses", {{"ok", -1}}, "metrics[1].statuses must be an object of counts"},
      {"/metrics/0/references/0/value", nullptr, "metrics[0].references[0].value must be a number"},
      {"/metrics/1/scorer", "fdb-exact", "metrics[1] must be another metric"},
      {"/paired_tests/0/n_used", "3", "paired_tests[0].n_used must be a whole number"},
      {"/samples/4/scored", 1, "samples[4].scored must be true or false"},
      {"/samples/4/flags", "x", "samples[4].flags must be a list of texts"},
      {"/samples/4/flags", {1}, "samples[4].flags must be a list of texts"},
      {"/samples/4/id", "1", "samples[4] must be another sample"},
      {"/samples/4/values/0/value", nullptr, "samples[4].values[0].value must be a number where"},
      {"/samples/4/values/0/status", "broken", "samples[4].values[0].value must be a number where"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.place);
    Json json = Full();
    json[Json::json_pointer(c.place)] = c.value;
    const testing::Thrown thrown = ReadError(json);
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CAPTURE(thrown.message);
    CHECK(thrown.Mentions(std::string("r.json: ")));
    CHECK(thrown.Mentions(c.message));
  }
}

TEST_CASE("a field that is missing is named") {
  Json json = Full();
  json["samples"][4].erase("folder");
  CHECK(ReadError(json).Mentions("samples[4]: 'folder' is missing"));
  json = Full();
  json.erase("metrics");
  CHECK(ReadError(json).Mentions("'metrics' is missing"));
}

TEST_CASE("what is no JSON document of ours is refused") {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("\xff"),
        std::string("{\"value\": 1e999}"), std::string("{\"a\": NaN}"), std::string("{}"), deep}) {
    const testing::Thrown thrown = testing::ErrorOf([&] { ResultsFromJson(text, "r.json"); });
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CHECK(thrown.Mentions("r.json"));
  }
  CHECK(testing::ErrorOf([] {
          ResultsFromJson("[]", "r.json");
        }).Mentions("the document must be an object"));
}

TEST_CASE("a field that this program does not know is skipped") {
  Json json = Full();
  json["metrics"][0]["added_later"] = 1;
  CHECK(ToJson(ResultsFromJson(json.dump(), "r.json")) == ToJson(FullResults()));
}

}  // namespace ppx::report
