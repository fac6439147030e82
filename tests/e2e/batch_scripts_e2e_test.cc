// Scripted users on the bundled checkpoint: every way a script can react, and what a run leaves.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "e2e/batch.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Greedy in float32: tokens that do not hang on a processor's rounding.
RunResult Scripts(const Folder& folder, const Arguments& scripts, const Arguments& more = {}) {
  Arguments arguments{"--output-dir", folder / "out", "--greedy", "--dtype", "f32", "--scripts"};
  return Batch(arguments + scripts + more);
}

Json RunScript(const Folder& folder, const std::string& yaml, const Arguments& more = {}) {
  fs::remove_all(folder / "out");
  WriteBytes(folder / "case.yaml", yaml);
  const RunResult run = Scripts(folder, {folder / "case.yaml"}, more);
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  return ReadJson(folder / "out/case/events.json").at("events");
}

std::vector<Json> OfType(const Json& events, const std::string& type) {
  std::vector<Json> found;
  std::copy_if(events.begin(), events.end(), std::back_inserter(found),
               [&](const Json& event) { return event.at("type") == type; });
  return found;
}

double Time(const Json& event) { return event.at("time_s").get<double>(); }

// A second of a tone, half a second of silence: a user.
void WriteClip(const Folder& folder) {
  std::vector<float> clip(24000);
  for (size_t i = 0; i < clip.size(); ++i) {
    clip[i] = 0.25F * std::sin(0.05F * static_cast<float>(i));
  }
  WriteRecording(folder / "clip.wav", clip);
}

TEST_CASE("scripts: clips at times, after one another, in the background; levels and fades") {
  const Folder folder;
  WriteClip(folder);
  const Json events = RunScript(folder, R"(
duration_s: 8
tail_s: 1
clips:
  plain: {file: clip.wav}
  soft: {file: clip.wav, gain_db: -20, fade_in_s: 0.2, fade_out_s: 0.2}
background: [{play: soft, at_s: 5}]
steps:
  - {id: first, play: plain, when: {at_s: 0.5}}
  - {play: plain, when: {after: first, delay_s: 0.25}}
  - {play: soft, when: {delay_s: 0.5}}
)");
  const auto starts = OfType(events, "clip_start");
  REQUIRE(starts.size() == 4);
  CHECK(Time(starts[0]) == doctest::Approx(0.5));
  CHECK(Time(starts[1]) == doctest::Approx(1.75));
  CHECK(Time(starts[2]) == doctest::Approx(3.25));
  CHECK(Time(starts[3]) == doctest::Approx(5));
  const std::vector<float> heard = ReadSamples(folder / "out/case/input.wav");
  const auto peak = [&](double from_s, double to_s) {
    float most = 0;
    for (auto i = static_cast<size_t>(from_s * 24000); i < static_cast<size_t>(to_s * 24000); ++i) {
      most = std::max(most, std::abs(heard[i]));
    }
    return most;
  };
  CHECK(peak(0, 0.49) == 0);
  CHECK(peak(0.5, 1.5) == doctest::Approx(0.25).epsilon(0.01));
  CHECK(peak(1.51, 1.74) == 0);
  CHECK(peak(3.6, 4) == doctest::Approx(0.025).epsilon(0.02));
  CHECK(peak(3.25, 3.26) < 0.003);  // fading in
  // The last step's clip is over at 4.25 s, and the dialogue with the frame that ends the tail.
  CHECK(heard.size() == 66 * 1920);
  CHECK(ReadSamples(folder / "out/case/output.wav").size() == heard.size());
  CHECK(OfType(events, "end").size() == 1);
}

TEST_CASE("scripts: a user that reacts to the agent's speech, silence and words") {
  const Folder folder;
  WriteClip(folder);
  const std::string clips = "clips: {tone: {file: clip.wav, gain_db: -10}}\n";
  // What this agent says and when it speaks, without anybody reacting.
  const Json free_run = RunScript(folder,
                                  "duration_s: 14\nhearing: {threshold_db: -9}\nsteps:\n"
                                  "  - wait: {at_s: 13}\n");
  const auto words = OfType(free_run, "agent_word");
  REQUIRE(words.size() > 3);
  const auto speech = OfType(free_run, "agent_speech_start");
  const auto silence = OfType(free_run, "agent_speech_stop");
  MESSAGE(speech.size(), " starts, ", silence.size(), " stops, ", words.size(), " words");
  REQUIRE(!speech.empty());

  const auto react = [&](const std::string& condition) {
    const Json events = RunScript(
        folder, clips + "duration_s: 14\ntail_s: 1.5\nhearing: {threshold_db: -9}\nsteps:\n" +
                    "  - {id: reaction, play: tone, when: {" + condition + "}}\n");
    const auto starts = OfType(events, "clip_start");
    INFO(condition);
    REQUIRE(starts.size() == 1);
    CHECK(condition.starts_with(starts[0].at("cause").get<std::string>()));
    return Time(starts[0]);
  };
  const auto known = [](const Json& event) {
    return event.contains("known_s") ? event.at("known_s").get<double>() : Time(event);
  };
  constexpr double kFrame = 0.08;
  // Until the user reacts both runs are the same: a reaction comes in the frame after it was known.
  const double start = react("agent_starts: true");
  CHECK(start >= known(speech[0]));
  CHECK(start <= known(speech[0]) + kFrame + 1e-9);
  const double spoken = react("agent_spoken_s: 0.2");
  CHECK(spoken >= Time(speech[0]) + 0.2);
  CHECK(spoken <= std::max(Time(speech[0]) + 0.2, known(speech[0])) + kFrame + 1e-9);
  if (!silence.empty()) {
    const double stop = react("agent_stops: true");
    CHECK(stop >= known(silence[0]));
    CHECK(stop <= known(silence[0]) + kFrame + 1e-9);
  }
  CHECK(react("agent_silent_s: 0.05") >= 0.05);
  std::string word;
  for (const char c : words[2].at("text").get<std::string>()) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) word += c;
  }
  const auto says_it = [&](const Json& event) {
    return event.at("text").get<std::string>().find(word) != std::string::npos;
  };
  const auto first = std::find_if(words.begin(), words.end(), says_it);
  if (first->at("text") == word) {
    const double said = react("agent_says: \"" + word + "\"");
    CHECK(said >= known(*first));
    CHECK(said <= known(*first) + kFrame + 1e-9);
  }
}

TEST_CASE("scripts: time-outs, branches, loops and marks that ppx-eval reads") {
  const Folder folder;
  WriteClip(folder);
  WriteBytes(folder / "case.yaml", R"(
task: interruption
duration_s: 9
tail_s: 1
clips:
  tone: {file: clip.wav, text: wait a moment}
noise: {kind: white, level_db: -50}
steps:
  - wait: {agent_says: neversaidword}
    within_s: 1
  - branch:
      - {agent_says: neversaidword, goto: never}
      - {delay_s: 0.4, goto: often}
branches:
  never: [{end: never}]
  often:
    - {id: mark_me, play: tone, mark: true, when: {agent_says: neversaidword}, within_s: 0.5, on_timeout: play}
    - {wait: {agent_says: neversaidword}, within_s: 0.5, on_timeout: {goto: last}}
  last: [{end: enough}]
)");
  const RunResult run = Scripts(folder, {folder / "case.yaml"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  const std::string out = folder / "out/script_interruption/case";
  const Json events = ReadJson(out + "/events.json").at("events");
  CHECK(OfType(events, "timeout").size() == 3);
  REQUIRE(OfType(events, "branch").size() == 1);
  CHECK(OfType(events, "branch")[0].at("to") == "often");
  const auto starts = OfType(events, "clip_start");
  REQUIRE(starts.size() == 1);
  CHECK(Time(starts[0]) == doctest::Approx(1.9));
  const Json marks = ReadJson(out + "/interrupt.json");
  REQUIRE(marks.size() == 1);
  CHECK(marks[0].at("interrupt") == "wait a moment");
  CHECK(marks[0].at("timestamp")[0] == doctest::Approx(1.9));
  CHECK(marks[0].at("timestamp")[1] == doctest::Approx(2.9));
  const RunResult score = RunProgram(
      {PPX_EVAL, "score", folder / "out", "--suite", "scripts", "--vad", "energy", "--no-cache"},
      CleanEnvironment({}));
  INFO(Told(score));
  CHECK(score.exit_code == 0);
  CHECK(score.out.find("script_interruption") != std::string::npos);
}

TEST_CASE("scripts: lines that a synthesiser speaks, once for each text") {
  const Folder folder;
  WriteClip(folder);
  WriteBytes(folder / "speak.sh", "#!/bin/sh\necho \"$1\" >> " + folder / "spoken.txt" + "\ncp " +
                                      folder / "clip.wav" + " \"$2\"\n");
  fs::permissions(folder / "speak.sh", fs::perms::owner_all);
  const std::string script =
      "duration_s: 4\ntail_s: 0.5\nclips: {line: {say: \"good; morning $HOME\"}}\nsteps: "
      "[{play: line}, {play: line}]\n";
  RunOptions options;
  options.environment = {{"PPX_CACHE", folder / "cache"}};
  WriteBytes(folder / "case.yaml", script);
  const Arguments arguments{"--output-dir", folder / "out",
                            "--scripts",    folder / "case.yaml",
                            "--speak",      folder / "speak.sh" + std::string(" {text} {wav}")};
  const RunResult run = Batch(arguments, options);
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(ReadBytes(folder / "spoken.txt") == "good; morning $HOME\n");
  CHECK(OfType(ReadJson(folder / "out/case/events.json").at("events"), "clip_start").size() == 2);
  fs::remove_all(folder / "out");
  REQUIRE(Batch(arguments, options).exit_code == 0);
  CHECK(ReadBytes(folder / "spoken.txt") == "good; morning $HOME\n");
  const RunResult mute = Scripts(folder, {folder / "case.yaml"});
  CHECK(mute.exit_code == 1);
  CHECK(mute.err.find("--speak") != std::string::npos);
}

TEST_CASE("scripts: two agents hear each other, one frame late; the same bytes beside others") {
  const Folder folder;
  WriteClip(folder);
  WriteBytes(folder / "dyad.yaml", R"(
duration_s: 3
clips: {tone: {file: clip.wav}}
agent_a: {text_prompt: You are kind., seed: 3, steps: [{play: tone, when: {at_s: 0.4}}]}
agent_b: {text_prompt: You are a bank., seed: 4}
)");
  WriteBytes(folder / "other.yaml",
             "duration_s: 2\nclips: {tone: {file: clip.wav}}\nsteps: [{play: tone}]\n");
  const RunResult run =
      Scripts(folder, {folder / "dyad.yaml", folder / "other.yaml"}, {"--batch", "3"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  const auto together = Outputs(folder / "out");
  for (const char* name : {"output.wav", "output.json", "input.wav", "input.json", "events.json"}) {
    CHECK(together.contains(std::string("dyad/") + name));
  }
  // Before the tone begins agent_a hears agent_b alone, who was silent in the first frame.
  const std::vector<float> heard = ReadSamples(folder / "out/dyad/input.wav");
  CHECK(std::all_of(heard.begin(), heard.begin() + 1920, [](float x) { return x == 0; }));
  CHECK(std::any_of(heard.begin() + 1920, heard.begin() + 9600, [](float x) { return x != 0; }));

  fs::remove_all(folder / "out");
  REQUIRE(Scripts(folder, {folder / "dyad.yaml"}, {"--batch", "3"}).exit_code == 0);
  for (const auto& [path, bytes] : Outputs(folder / "out")) {
    CAPTURE(path);
    CHECK((together.at(path) == bytes));
  }
}

TEST_CASE("scripts: a mistake is told with its line, and the others go on") {
  const Folder folder;
  WriteClip(folder);
  WriteBytes(folder / "good.yaml",
             "duration_s: 1\nclips: {tone: {file: clip.wav}}\nsteps: [{play: tone}]\n");
  WriteBytes(folder / "bad.yaml",
             "duration_s: 1\nclips:\n  tone: {file: clip.wav}\nsteps:\n  - play: tune\n");
  const RunResult run = Scripts(folder, {folder / "good.yaml", folder / "bad.yaml"});
  INFO(Told(run));
  CHECK(run.exit_code == 1);
  CHECK(run.err.find("bad.yaml:5:") != std::string::npos);
  CHECK(run.err.find("tone") != std::string::npos);  // the nearest that is there
  CHECK(fs::exists(folder / "out/good/output.wav"));
}

TEST_CASE("scripts: those of the toolkit run") {
  const Folder folder;
  Arguments scripts;
  for (const auto& entry : fs::directory_iterator(PPX_SOURCE_DIR "/eval/scripts")) {
    const std::string path = entry.path().string();
    if (path.ends_with(".yaml") && path.find("spoken_lines") == std::string::npos) {
      scripts.push_back(path);
    }
  }
  CHECK(scripts.size() >= 5);
  const RunResult run = Scripts(folder, scripts);
  INFO(Told(run));
  CHECK(run.exit_code == 0);
}

}  // namespace
}  // namespace ppx::test
