#include <fmt/format.h>

#include <string>
#include <vector>

#include "script/dialogue_script.h"
#include "script_bench.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::script {
namespace {

using testing::ErrorOf;

// What comes after the path: ":line:column: ...".
std::string Refused(const Bench& bench, const std::string& yaml) {
  const auto thrown = ErrorOf([&] { bench.Parse(yaml); });
  CAPTURE(yaml);
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  REQUIRE(thrown.message.rfind(bench.path, 0) == 0);
  return thrown.message.substr(bench.path.size());
}

void CheckRefused(const Bench& bench, const std::string& yaml, const std::string& place,
                  const std::string& text) {
  const std::string message = Refused(bench, yaml);
  CAPTURE(message);
  CHECK(message.rfind(place + ": ", 0) == 0);
  CHECK(message.find(text) != std::string::npos);
}

TEST_CASE("the shortest script, and its defaults") {
  const Bench bench;
  const auto script = bench.Parse("steps: [{wait: 1}]");
  CHECK(script.name == "test");
  CHECK(script.path == bench.path);
  CHECK(script.duration_s == 120);
  CHECK(script.tail_s == 5);
  CHECK(script.task == ScriptTask::kNone);
  CHECK_FALSE(script.agent.persona);
  CHECK_FALSE(script.agent.seed);
  CHECK_FALSE(script.IsDyad());
  CHECK_FALSE(NeedsSynthesiser(script));
  REQUIRE(script.steps.size() == 1);
  CHECK(script.steps[0].id == "steps.1");
  CHECK(script.steps[0].kind == StepKind::kWait);
  CHECK(FilesOf(script) == std::vector<std::string>{bench.path});
}

TEST_CASE("everything a script can say") {
  const Bench bench;
  const auto script = bench.Parse(R"(name: all
description: everything
task: interruption
persona: service-hotel
text_prompt: be kind
voice_prompt: NATF0
seed: 12
duration_s: 60
tail_s: 2.5
hearing: {min_speech_s: 0.2, min_silence_s: 0.5, threshold_db: -40}
clips:
  a: {file: one.wav, channel: 0, from_s: 0.1, to_s: 0.6, text: hello there, trim: true,
      loudness_lufs: -20, gain_db: -3, fade_in_s: 0.01, fade_out_s: 0.02}
  b: {say: "Well, well", voice: slt, options: {speed: 1.2}, trim: false}
noise: {kind: file, file: half.wav, channel: 0, snr_db: 15}
background: [{play: a, at_s: 3}]
steps:
  - {id: first, play: a, when: {at_s: 1}}
  - {play: b, when: {any_of: [{agent_starts: true}, {after: first, delay_s: 4}]}, overlap: true}
  - play: a
    when: {agent_spoken_s: 2}
    within_s: 8
    on_timeout: {play: b}
    mark: true
  - wait: {agent_says: [Yes!, of course]}
    within_s: 2
    on_timeout: {goto: lost}
  - branch:
      - {agent_stops: true, goto: first}
      - {agent_silent_s: 3, goto: lost}
    within_s: 9
    on_timeout: end
branches:
  lost:
    - wait: {delay_s: 0.5}
    - wait: {after: start, delay_s: 30}
    - end: nobody there
)");
  CHECK(script.name == "all");
  CHECK(script.task == ScriptTask::kInterruption);
  CHECK(script.agent.persona == "service-hotel");
  CHECK(script.agent.seed == 12);
  CHECK(script.hearing.threshold_db == -40);
  REQUIRE(script.clips.size() == 2);
  CHECK(script.clips[0].file == bench.dir.File("one.wav"));
  CHECK(script.clips[0].text == "hello there");
  CHECK(script.clips[0].to_s == 0.6);
  CHECK(script.clips[0].where == bench.path + ":12:6");
  CHECK(script.clips[1].say == "Well, well");
  CHECK(script.clips[1].text == "Well, well");
  CHECK(script.clips[1].options.at("voice") == "slt");
  CHECK(script.clips[1].options.at("speed") == "1.2");
  CHECK_FALSE(script.clips[1].trim);
  CHECK(NeedsSynthesiser(script));
  CHECK(script.noise->snr_db == 15);
  CHECK(script.background.at(0).at_s == 3);
  REQUIRE(script.steps.size() == 8);
  CHECK(script.steps[0].next == 1);
  CHECK(script.steps[1].overlap);
  CHECK(script.steps[1].conditions.size() == 2);
  CHECK(script.steps[1].conditions[1].after == 0);
  CHECK(script.steps[2].mark);
  CHECK(script.steps[2].on_timeout == TimeoutAction::kPlay);
  CHECK(script.steps[2].timeout_clip == 1);
  const std::vector<std::vector<std::string>> phrases{{"yes"}, {"of", "course"}};
  CHECK(script.steps[3].conditions[0].phrases == phrases);
  CHECK(script.steps[3].timeout_step == 5);
  CHECK(script.steps[4].conditions[0].goto_step == 0);
  CHECK(script.steps[4].conditions[1].goto_step == 5);
  CHECK(script.steps[4].on_timeout == TimeoutAction::kEnd);
  CHECK_FALSE(script.steps[4].next);
  CHECK(script.steps[5].id == "lost.1");
  CHECK_FALSE(script.steps[6].conditions[0].after);
  CHECK(script.steps[7].end_reason == "nobody there");
  CHECK(FilesOf(script) == std::vector<std::string>{bench.path, bench.dir.File("half.wav"),
                                                    bench.dir.File("one.wav")});
}

TEST_CASE("two agents") {
  const Bench bench;
  const auto script = bench.WithClips(R"(
agent_a: {persona: x, seed: 3, steps: [{play: one}]}
agent_b: {text_prompt: y, steps: [{id: knock, play: half, when: {at_s: 2}}]}
)");
  REQUIRE(script.IsDyad());
  CHECK(script.agent.persona == "x");
  CHECK(script.agent.first_step == 0);
  CHECK(script.agent_b->text_prompt == "y");
  CHECK(script.agent_b->first_step == 1);
  CHECK(script.steps[0].id == "agent_a.1");
  CHECK_FALSE(script.steps[0].next);
  const auto quiet = bench.WithClips("agent_a: {steps: [{play: one}]}\nagent_b: {}\n");
  CHECK_FALSE(quiet.agent_b->first_step);
}

TEST_CASE("slips of the pen are told with their place") {
  const Bench bench;
  const auto refused = [&](const std::string& yaml, const std::string& place,
                           const std::string& text) { CheckRefused(bench, yaml, place, text); };
  refused("steps: [{wait: 1}]\ntial_s: 3\n", ":2:1", "unknown key 'tial_s'");
  refused("steps: [{wait: 1}]\ntial_s: 3\n", ":2:1", "tail_s");
  refused("steps: [{wait: 1}]\nsteps: [{wait: 2}]\n", ":2:1", "twice");
  refused("name: x\n", ":1:1", "'steps'");
  refused("steps: []\n", ":1:8", "at least one");
  refused("steps: {wait: 1}\n", ":1:8", "list");
  refused("steps:\n  - wait: 1\n  - {ply: a}\n", ":3:5", "expected a step with one of play, wait");
  refused("steps:\n  - {wait: 1, end: true}\n", ":2:5", "not with several");
  refused("steps:\n  - 7\n", ":2:5", "a step must be a mapping");
  refused("steps:\n  - {wait: 1, id: 'a b'}\n", ":2:19", "no name");
  refused("steps:\n  - {wait: 1, id: start}\n", ":2:19", "start");
  refused("steps:\n  - {wait: 1, id: a}\n  - {wait: 1, id: a}\n", ":3:19", "another step");
  refused("steps: [{wait: -1}]", ":1:16", "is -1; expected 0 to");
  refused("steps: [{wait: .inf}]", ":1:16", "finite");
  refused("steps: [{wait: .nan}]", ":1:16", "finite");
  refused("steps: [{wait: 0.001}]", ":1:16", "0.01");
  refused("steps: [{wait: soon}]", ":1:16", "a number");
  refused("duration_s: 0\nsteps: [{wait: 1}]", ":1:13", "0.1 to");
  refused("tail_s: -2\nsteps: [{wait: 1}]", ":1:9", "is -2");
  refused("seed: -2\nsteps: [{wait: 1}]", ":1:7", "must be 0");
  refused("duration_s: 5\nsteps: [{wait: {at_s: 5}}]", ":2:23", "ends after 5 s");
  refused("task: interuption\nsteps: [{wait: 1}]", ":1:7", "pause_handling, turn_taking");
  refused("hearing: {min_silence_s: 0}\nsteps: [{wait: 1}]", ":1:26", "0.01");
  refused("hearing: {threshold_db: 3}\nsteps: [{wait: 1}]", ":1:25", "-90 to 0");
  refused("steps: [{end: false}]", ":1:15", "true");
  refused("steps: [{wait: 1}\n", ":2:1", "not valid YAML");
}

TEST_CASE("clips and noise that cannot be") {
  const Bench bench;
  const auto refused = [&](const std::string& clip, const std::string& place,
                           const std::string& text) {
    CheckRefused(bench, "steps: [{wait: 1}]\nclips:\n  a: " + clip + "\n", place, text);
  };
  refused("{file: none.wav}", ":3:13", "there is no file " + bench.dir.File("none.wav"));
  refused("{file: .}", ":3:13", "there is no file");
  refused("{}", ":3:6", "either a 'file' or a text");
  refused("{file: one.wav, say: x}", ":3:6", "either");
  refused("{file: one.wav, gain: 3}", ":3:22", "unknown key 'gain'");
  refused("{say: x, from_s: 3}", ":3:15", "unknown key 'from_s'");
  refused("{say: '...'}", ":3:12", "no words");
  refused("{file: one.wav, from_s: 1, to_s: 0.5}", ":3:39", "after 'from_s'");
  refused("{file: one.wav, channel: -1}", ":3:31", "0 to 63");
  refused("{file: one.wav, gain_db: .nan}", ":3:31", "finite");
  refused("{file: one.wav, gain_db: 100}", ":3:31", "-100 to 60");
  refused("{file: one.wav, loudness_lufs: 5}", ":3:37", "-70 to 0");
  refused("{file: one.wav, fade_in_s: -1}", ":3:33", "is -1");
  refused("{say: x, options: {text: y}}", ":3:31", "place of its own");
  CheckRefused(bench, "steps: [{wait: 1}]\nclips: {'a b': {file: one.wav}}\n", ":2:16", "no name");

  const auto noise = [&](const std::string& spec, const std::string& place,
                         const std::string& text) {
    CheckRefused(bench, "steps: [{wait: 1}]\nnoise: " + spec + "\n", place, text);
  };
  noise("{kind: brown, snr_db: 3}", ":2:15", "white, pink, file");
  noise("{kind: white}", ":2:15", "either 'snr_db'");
  noise("{kind: white, snr_db: 3, level_db: -40}", ":2:15", "either 'snr_db'");
  noise("{kind: white, snr_db: 3, file: one.wav}", ":2:33", "unknown key 'file'");
  noise("{kind: file, snr_db: 3}", ":2:8", "'file' is missing");
  noise("{kind: white, level_db: 3}", ":2:32", "-120 to 0");
}

TEST_CASE("names that are not there, with the nearest that is") {
  const Bench bench;
  const auto refused = [&](const std::string& rest, const std::string& place,
                           const std::string& text) {
    CheckRefused(bench, "clips: {question: {file: one.wav}}\n" + rest, place, text);
  };
  refused("steps: [{play: qestion}]", ":2:16",
          "there is no clip 'qestion'; did you mean 'question'?");
  refused("background: [{play: questoin, at_s: 1}]\nsteps: [{wait: 1}]", ":2:21",
          "did you mean 'question'?");
  refused("steps: [{id: ask, play: question}, {goto: aks}]", ":2:43", "did you mean 'ask'?");
  refused("steps: [{id: ask, play: question}, {wait: {after: asked}}]", ":2:51",
          "there is no step 'asked'; did you mean 'ask'?");
  refused("steps: [{branch: [{agent_starts: true, goto: x}]}]", ":2:46",
          "there is no branch or step 'x'");
  refused(
      "steps: [{play: question, when: {agent_starts: true}, within_s: 1, on_timeout: {play: q}}]",
      ":2:86", "did you mean 'question'?");
  refused("steps: [{wait: 1}]\nbranches: {later: [{wait: 1}]}", ":3:19", "nothing leads to branch");
  refused("steps: [{id: a, wait: 1}]\nbranches: {a: [{wait: 1}]}", ":3:15", "name of a step");
  CheckRefused(bench, "steps: [{play: x}]", ":1:16", "name one under 'clips'");
  // A branch has no end that one could wait for.
  refused("steps: [{goto: b}]\nbranches: {b: [{wait: {after: b}}]}", ":3:31",
          "there is no step 'b'");
}

TEST_CASE("conditions and time-outs that cannot be") {
  const Bench bench;
  const auto refused = [&](const std::string& step, const std::string& place,
                           const std::string& text) {
    CheckRefused(bench, "clips: {a: {file: one.wav}}\nsteps:\n  - " + step + "\n", place, text);
  };
  refused("{play: a, when: {}}", ":3:21", "there is none");
  refused("{play: a, when: {agent_speaks: true}}", ":3:21", "expected one condition, at_s, after");
  refused("{play: a, when: {at_s: 1, agent_starts: true}}", ":3:21", "any_of");
  refused("{play: a, when: {agent_starts: true, bit: 1}}", ":3:42", "unknown key 'bit'");
  refused("{play: a, when: {agent_starts: false}}", ":3:36", "only be true");
  refused("{play: a, when: {agent_starts: maybe}}", ":3:36", "true or false");
  refused("{play: a, when: {agent_spoken_s: 0}}", ":3:38", "0.01");
  refused("{play: a, when: {agent_silent_s: -1}}", ":3:38", "0.01");
  refused("{play: a, when: {agent_says: '?!'}}", ":3:34", "no word");
  refused("{play: a, when: {agent_says: []}}", ":3:34", "at least one");
  refused("{play: a, when: {any_of: []}}", ":3:30", "at least one");
  refused("{play: a, when: 3}", ":3:21", "a condition must be a mapping");
  refused("{play: a, when: {any_of: [{any_of: []}]}}", ":3:31", "expected one condition");
  refused("{play: a, within_s: 3}", ":3:25", "'when'");
  refused("{play: a, when: {at_s: 3}, within_s: 0}", ":3:42", "0.01");
  refused("{play: a, when: {at_s: 3}, on_timeout: skip}", ":3:44", "needs 'within_s'");
  refused("{wait: {at_s: 3}, within_s: 1, on_timeout: play}", ":3:48", "skip, end");
  refused("{wait: {at_s: 3}, within_s: 1, on_timeout: {}}", ":3:48", "{play: CLIP}");
  refused("{branch: []}", ":3:14", "at least one");
  refused("{branch: [{agent_starts: true}]}", ":3:15", "'goto' is missing");
  refused("{goto: a, within_s: 3}", ":3:12", "there is no branch or step");
  refused("{wait: 1, mark: true}", ":3:15", "unknown key 'mark'");
  refused("{play: a, mark: true}", ":3:21", "name the task");
}

TEST_CASE("tasks and their marks") {
  const Bench bench;
  for (const char* task : {"interruption", "turn_taking", "pause_handling"}) {
    CheckRefused(bench, fmt::format("task: {}\nsteps: [{{wait: 1}}]", task), ":1:7", "mark: true");
    CHECK(bench.WithClips(fmt::format("task: {}\nsteps: [{{play: one, mark: true}}]", task))
              .steps[0]
              .mark);
  }
  for (const char* task : {"backchannel", "channels"}) {
    CHECK(Name(bench.Parse(fmt::format("task: {}\nsteps: [{{wait: 1}}]", task)).task) == task);
    CheckRefused(bench,
                 fmt::format("clips: {{a: {{file: one.wav}}}}\ntask: {}\nsteps: [{{play: a, mark: "
                             "true}}]",
                             task),
                 ":3:25", "turn_taking and interruption");
  }
}

TEST_CASE("agents that contradict each other") {
  const Bench bench;
  CheckRefused(bench, "agent_a: {steps: [{wait: 1}]}", ":1:1", "'agent_b' is missing");
  CheckRefused(bench, "agent_a: {}\nagent_b: {}", ":1:10", "at least one");
  CheckRefused(bench, "agent_a: {steps: [{wait: 1}]}\nagent_b: {}\nsteps: [{wait: 1}]", ":3:1",
               "unknown key 'steps'");
  CheckRefused(bench, "agent_a: {steps: [{wait: 1}]}\nagent_b: {}\npersona: x", ":3:1",
               "unknown key 'persona'");
  CheckRefused(bench, "agent_a: {steps: [{wait: 1}], voice: x}\nagent_b: {}", ":1:31",
               "unknown key 'voice'");
  CheckRefused(bench, "task: backchannel\nagent_a: {steps: [{wait: 1}]}\nagent_b: {}", ":1:7",
               "'channels'");
}

TEST_CASE("circles that take no time") {
  const Bench bench;
  const auto circle = [&](const std::string& rest, const std::string& place) {
    CheckRefused(bench, "clips: {a: {file: one.wav}}\n" + rest, place, "circle");
  };
  circle("steps:\n  - {id: x, goto: x}\n", ":3:5");
  circle("steps:\n  - goto: x\nbranches:\n  x:\n    - goto: y\n  y:\n    - goto: x\n", ":6:7");
  circle("steps:\n  - {id: x, wait: 0}\n  - goto: x\n", ":3:5");
  circle("steps:\n  - {id: x, wait: {at_s: 3}}\n  - goto: x\n", ":3:5");
  circle("steps:\n  - {id: x, play: a, overlap: true}\n  - goto: x\n", ":3:5");
  circle("steps:\n  - {id: x, branch: [{at_s: 3, goto: x}]}\n", ":3:5");
  circle(
      "steps:\n  - {id: x, wait: {any_of: [{agent_starts: true}, {after: start}]}}\n  - goto: x\n",
      ":3:5");
  CHECK(Refused(bench, "steps:\n  - {id: x, wait: 0}\n  - {id: y, goto: x}\n").find("x -> y") !=
        std::string::npos);

  const auto fine = [&](const std::string& steps) {
    CHECK_NOTHROW(bench.Parse("clips: {a: {file: one.wav}}\nsteps:\n" + steps));
  };
  fine("  - {id: x, play: a}\n  - goto: x\n");
  fine("  - {id: x, wait: 0.01}\n  - goto: x\n");
  fine("  - {id: x, branch: [{agent_starts: true, goto: x}]}\n");
  fine("  - {id: x, play: a, overlap: true, when: {agent_silent_s: 1}}\n  - goto: x\n");
  fine(
      "  - {id: x, branch: [{agent_starts: true, goto: y}], within_s: 1, on_timeout: {goto: x}}\n"
      "  - {id: y, wait: 0}\n");
}

TEST_CASE("files that are no scripts") {
  const Bench bench;
  CHECK(ErrorOf([&] { LoadScript(bench.dir.File("none.yaml")); }).Mentions("none.yaml"));
  for (const char* text : {"", "[]", "x", "- a\n- b\n", "a: 1\n---\nb: 2\n", "a: }", "\t", "a: [1",
                           "a: *b", "&a a: *a"}) {
    CAPTURE(text);
    CHECK(ErrorOf([&] { bench.Parse(text); }).code == base::ErrorCode::kBadInput);
  }
}

}  // namespace
}  // namespace ppx::script
