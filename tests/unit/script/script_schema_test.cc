#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>
#include <vector>

#include "script_bench.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::script {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using valijson::adapters::NlohmannJsonAdapter;

// As YAML's core schema reads it.
Json ToJson(const YAML::Node& node) {
  if (node.IsMap()) {
    Json object = Json::object();
    for (const auto& entry : node) object[entry.first.Scalar()] = ToJson(entry.second);
    return object;
  }
  if (node.IsSequence()) {
    Json list = Json::array();
    for (const YAML::Node& item : node) list.push_back(ToJson(item));
    return list;
  }
  if (!node.IsScalar()) return nullptr;
  if (node.Tag() != "!") {
    bool flag = false;
    int64_t whole = 0;
    double number = 0;
    if (YAML::convert<bool>::decode(node, flag)) return flag;
    if (YAML::convert<int64_t>::decode(node, whole)) return whole;
    if (YAML::convert<double>::decode(node, number)) return number;
  }
  return node.Scalar();
}

class Schema {
 public:
  Schema() {
    const Json json =
        Json::parse(testing::ReadFile(PPX_SOURCE_DIR "/eval/schema/script.schema.json"));
    valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
    parser.populateSchema(NlohmannJsonAdapter(json), schema_);
  }
  bool Accepts(const std::string& yaml) const {
    const Json document = ToJson(YAML::Load(yaml));
    valijson::Validator validator;
    return validator.validate(schema_, NlohmannJsonAdapter(document), nullptr);
  }

 private:
  valijson::Schema schema_;
};

TEST_CASE("the examples are valid") {
  const Schema schema;
  int count = 0;
  for (const auto& entry : fs::directory_iterator(PPX_SOURCE_DIR "/eval/scripts")) {
    if (entry.path().extension() != ".yaml") continue;
    CAPTURE(entry.path().string());
    CHECK(schema.Accepts(testing::ReadFile(entry.path().string())));
    ++count;
  }
  CHECK(count >= 6);
}

// Both the parser and the schema know the grammar; they must not part.
TEST_CASE("what the parser takes is valid, and what it refuses for its form is not") {
  const Schema schema;
  const Bench bench;
  const auto check = [&](const std::string& rest, bool good) {
    CAPTURE(rest);
    const std::string yaml = "clips: {a: {file: one.wav}}\n" + rest;
    CHECK(schema.Accepts(yaml) == good);
    CHECK(testing::ErrorOf([&] { bench.Parse(yaml); }).code.has_value() != good);
  };
  const auto step = [&](const std::string& text, bool good) {
    check("task: interruption\nsteps:\n  - {play: a, mark: true}\n  - {id: x, wait: 1}\n  - " +
              text + "\n",
          good);
  };
  for (const char* good :
       {"{play: a}", "{id: q, play: a, when: {at_s: 2}}", "{play: a, when: {delay_s: 0}}",
        "{play: a, when: {after: start}}", "{play: a, when: {after: x, delay_s: 2.5}}",
        "{play: a, when: {agent_starts: true}, within_s: 2}",
        "{play: a, when: {agent_stops: true}, within_s: 2, on_timeout: play}",
        "{play: a, when: {agent_silent_s: 1}, within_s: 2, on_timeout: {play: a}}",
        "{play: a, when: {agent_spoken_s: 1}, within_s: 2, on_timeout: {goto: x}}",
        "{play: a, when: {agent_says: yes sir}}", "{play: a, when: {agent_says: [hm, maybe]}}",
        "{play: a, when: {any_of: [{agent_says: b}, {at_s: 9}]}, overlap: true}", "{wait: 0}",
        "{wait: 3.5}", "{wait: {agent_stops: true}, within_s: 3, on_timeout: end}",
        "{branch: [{agent_starts: true, goto: x}], within_s: 1}", "{end: true}", "{end: done}"}) {
    step(good, true);
  }
  for (const char* bad : {"{}",
                          "7",
                          "{ply: a}",
                          "{play: a, wait: 1}",
                          "{play: a, when: 3}",
                          "{play: a, when: {}}",
                          "{play: a, when: {at_s: -1}}",
                          "{play: a, when: {at_s: 1, agent_starts: true}}",
                          "{play: a, when: {agent_starts: false}}",
                          "{play: a, when: {agent_spoken_s: 0}}",
                          "{play: a, when: {agent_says: []}}",
                          "{play: a, when: {any_of: []}}",
                          "{play: a, when: {any_of: [{at_s: 1, goto: x}]}}",
                          "{play: a, within_s: 3}",
                          "{play: a, when: {at_s: 3}, on_timeout: skip}",
                          "{play: a, when: {at_s: 3}, within_s: 0}",
                          "{play: a, when: {at_s: 3}, within_s: 1, on_timeout: jump}",
                          "{play: a, when: {at_s: 3}, within_s: 1, on_timeout: {goto: x, play: a}}",
                          "{wait: -1}",
                          "{wait: 0.001}",
                          "{wait: {at_s: 1}, mark: true}",
                          "{wait: {at_s: 1}, within_s: 1, on_timeout: play}",
                          "{branch: []}",
                          "{branch: [{agent_starts: true}]}",
                          "{end: false}",
                          "{goto: x, within_s: 1}",
                          "{id: a b, wait: 1}",
                          "{id: start, wait: 1}"}) {
    step(bad, false);
  }
  for (const char* good :
       {"steps: [{wait: 1}]", "agent_a: {steps: [{wait: 1}]}\nagent_b: {seed: 1}",
        "steps: [{wait: 1}]\nnoise: {kind: white, snr_db: 3}",
        "steps: [{wait: 1}]\nnoise: {kind: file, file: one.wav, level_db: -30}",
        "steps: [{wait: 1}]\nbackground: [{play: a, at_s: 0}]",
        "steps: [{goto: b}]\nbranches: {b: [{wait: 1}]}",
        "steps: [{wait: 1}]\nhearing: {threshold_db: -45}"}) {
    check(good, true);
  }
  for (const char* bad :
       {"name: x", "steps: []", "steps: [{wait: 1}]\nstep: []", "agent_a: {steps: [{wait: 1}]}",
        "agent_a: {}\nagent_b: {}", "agent_a: {steps: [{wait: 1}]}\nagent_b: {}\nseed: 1",
        "agent_a: {steps: [{wait: 1}]}\nagent_b: {}\nsteps: [{wait: 1}]",
        "steps: [{wait: 1}]\nnoise: {kind: white}",
        "steps: [{wait: 1}]\nnoise: {kind: file, snr_db: 3}",
        "steps: [{wait: 1}]\nnoise: {kind: white, snr_db: 3, level_db: -20}",
        "steps: [{wait: 1}]\nduration_s: 0", "steps: [{wait: 1}]\ntask: overlap",
        "steps: [{wait: 1}]\nseed: -1", "steps: [{wait: 1}]\nseed: 1.5",
        "steps: [{wait: 1}]\nbackground: [{play: a}]", "steps: [{wait: 1}]\nhearing: {level: 3}",
        "steps: [{wait: 1}]\nbranches: {b: []}"}) {
    check(bad, false);
  }
}

TEST_CASE("clips, by the schema and by the parser") {
  const Schema schema;
  const Bench bench;
  const auto check = [&](const std::string& clip, bool good) {
    CAPTURE(clip);
    const std::string yaml = "steps: [{wait: 1}]\nclips: {c: " + clip + "}\n";
    CHECK(schema.Accepts(yaml) == good);
    CHECK(testing::ErrorOf([&] { bench.Parse(yaml); }).code.has_value() != good);
  };
  for (const char* good :
       {"{file: one.wav, channel: 1, from_s: 0.5, to_s: 0.75, text: hi, trim: true}",
        "{file: one.wav, gain_db: -3, fade_in_s: 0.1, fade_out_s: 0.1, loudness_lufs: -23}",
        "{say: hello}", "{say: hello, voice: slt, options: {speed: 1.5, pitch: low}}"}) {
    check(good, true);
  }
  for (const char* bad : {"{}", "one.wav", "{file: one.wav, say: x}", "{say: x, channel: 1}",
                          "{file: one.wav, voice: x}", "{file: one.wav, gain_db: 99}",
                          "{file: one.wav, channel: 1.5}", "{file: one.wav, trim: maybe}",
                          "{say: x, options: {wav: y}}", "{file: one.wav, fade_in_s: -1}"}) {
    check(bad, false);
  }
}

}  // namespace
}  // namespace ppx::script
