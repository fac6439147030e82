#include "script/script_events.h"

#include <nlohmann/json.hpp>

#include "annotate/transcript.h"
#include "script_bench.h"
#include "support/doctest.h"

namespace ppx::script {
namespace {

using Json = nlohmann::json;

DialogueScript Script(const Bench& bench, const std::string& task, const std::string& rest) {
  return bench.Parse("name: n\ntask: " + task +
                     "\nclips: {one: {file: one.wav, text: what is it}, half: {file: half.wav, "
                     "text: wait}}\n" +
                     rest);
}

std::vector<annotate::Annotation> Marks(const Bench& bench, const DialogueScript& script,
                                        const Performance& performance, const std::string& name) {
  const auto marks = MarksJson(script, performance.events);
  REQUIRE(marks);
  CHECK(marks->name == name);
  testing::WriteFile(bench.dir.File("marks.json"), marks->bytes);
  return annotate::ReadAnnotations(bench.dir.File("marks.json"));
}

TEST_CASE("events as JSON") {
  const Bench bench;
  const auto script = Script(bench, "interruption", R"(
tail_s: 0.5
steps:
  - {id: ask, play: one}
  - {id: cut, play: half, when: {agent_spoken_s: 1}, mark: true}
  - {id: bye, wait: {agent_starts: true}, within_s: 0.5, on_timeout: end}
)");
  const auto p = Perform(script, {{{1.5, 3}}, {{" Hello", 1.6, 1.8}}});
  const std::string text = EventsJson(script, {7, kRateHz, kFrame}, p.events);
  CHECK(text == EventsJson(script, {7, kRateHz, kFrame}, p.events));
  CHECK(text.back() == '\n');
  const Json json = Json::parse(text);
  CHECK(json["format"] == 1);
  CHECK(json["script"] == "n");
  CHECK(json["task"] == "interruption");
  CHECK(json["seed"] == 7);
  CHECK(json["sample_rate_hz"] == kRateHz);
  CHECK(json["frame_samples"] == kFrame);
  const Json& events = json["events"];
  std::vector<std::string> types;
  for (const Json& event : events) types.push_back(event["type"]);
  CHECK(types == std::vector<std::string>{
                     "step", "clip_start", "clip_end", "step", "agent_speech_start", "agent_word",
                     "clip_start", "clip_end", "step", "agent_speech_stop", "timeout", "end"});
  CHECK(events[0] == Json{{"type", "step"}, {"time_s", 0.0}, {"step", "ask"}});
  CHECK(events[1] ==
        Json{{"type", "clip_start"}, {"time_s", 0.0}, {"step", "ask"}, {"clip", "one"}});
  CHECK(events[4]["known_s"] > events[4]["time_s"]);
  CHECK(events[5]["text"] == "Hello");
  CHECK(events[5]["time_s"] == 1.6);
  CHECK(events[5]["known_s"] == doctest::Approx(1.68));
  CHECK(events[6]["mark"] == true);
  CHECK(events[6]["cause"] == "agent_spoken_s");
  CHECK(events[10]["action"] == "end");
  CHECK(events[11]["why"] == "timeout");
  CHECK_FALSE(events[0].contains("side"));
}

TEST_CASE("two sides in one file") {
  const Bench bench;
  const auto script = bench.WithClips(
      "duration_s: 1\nagent_a: {steps: [{play: one}]}\nagent_b: {steps: [{play: half}]}\n");
  const auto a = Perform(script);
  const auto b = Perform(script, {}, 1, Side::kB);
  const auto merged = MergeEvents(a.events, b.events);
  CHECK(merged.size() == a.events.size() + b.events.size());
  const Json events = Json::parse(EventsJson(script, {}, merged))["events"];
  CHECK(events[0]["side"] == "a");
  CHECK(events[2]["side"] == "b");
  CHECK(events[3]["clip"] == "half");
  CHECK_FALSE(MarksJson(script, merged));
}

TEST_CASE("an interruption's annotation, as the scorer reads it") {
  const Bench bench;
  const auto script = Script(bench, "interruption", R"(
steps:
  - {play: one, when: {at_s: 0.5}}
  - {play: half, when: {agent_spoken_s: 1}, within_s: 5, mark: true}
)");
  const auto p = Perform(script, {{{2, 5}}, {}});
  const auto marks = Marks(bench, script, p, "interrupt.json");
  REQUIRE(marks.size() == 1);
  CHECK(marks[0].context == "what is it");
  CHECK(marks[0].interrupt == "wait");
  CHECK(marks[0].start_s == doctest::Approx(p.StartOf("half")));
  CHECK(*marks[0].end_s - *marks[0].start_s == doctest::Approx(0.5));
  CHECK(Marks(bench, script, Perform(script), "interrupt.json").empty());
}

TEST_CASE("a turn change's and a pause's annotations") {
  const Bench bench;
  const auto turn = Script(bench, "turn_taking", "steps: [{play: half}, {play: one, mark: true}]");
  const auto marks = Marks(bench, turn, Perform(turn), "turn_taking.json");
  REQUIRE(marks.size() == 1);
  CHECK(marks[0].text == "[TURN-TAKING]");
  CHECK(marks[0].start_s == 1.5);
  CHECK(marks[0].end_s == 1.9);

  const auto pause = Script(bench, "pause_handling", R"(
steps:
  - {play: one, mark: true}
  - {play: half, when: {delay_s: 0.7}, mark: true}
  - {play: half, when: {delay_s: 0.6}, mark: true}
)");
  const auto pauses = Marks(bench, pause, Perform(pause), "pause.json");
  REQUIRE(pauses.size() == 2);
  CHECK(pauses[0].text == "[PAUSE]");
  CHECK(pauses[0].start_s == 1.0);
  CHECK(pauses[0].end_s == 1.7);
  CHECK(pauses[1].start_s == doctest::Approx(2.2));
  CHECK(pauses[1].end_s == doctest::Approx(2.8));
}

TEST_CASE("a clip that is played again has its own times, and clips in the background none") {
  const Bench bench;
  const auto script = Script(bench, "turn_taking", R"(
duration_s: 4
background: [{play: half, at_s: 0.1}]
steps:
  - {id: x, play: half, when: {delay_s: 1}, mark: true}
  - goto: x
)");
  const auto marks = Marks(bench, script, Perform(script), "turn_taking.json");
  REQUIRE(marks.size() == 2);
  CHECK(marks[0].start_s == 1.5);
  CHECK(marks[1].start_s == 3.0);
}

TEST_CASE("tasks without an annotation") {
  const Bench bench;
  for (const char* task : {"backchannel", "channels"}) {
    const auto script = Script(bench, task, "steps: [{play: one}]");
    CHECK_FALSE(MarksJson(script, Perform(script).events));
  }
}

TEST_CASE("every kind of event has a name of its own") {
  std::vector<std::string_view> names;
  for (const auto kind :
       {EventKind::kAgentSpeechStart, EventKind::kAgentSpeechStop, EventKind::kAgentWord,
        EventKind::kStep, EventKind::kClipStart, EventKind::kClipEnd, EventKind::kTimeout,
        EventKind::kBranch, EventKind::kEnd}) {
    CHECK_FALSE(Name(kind).empty());
    for (const auto name : names) CHECK(name != Name(kind));
    names.push_back(Name(kind));
  }
}

}  // namespace
}  // namespace ppx::script
