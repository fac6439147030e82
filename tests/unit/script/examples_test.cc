// The scripts of eval/scripts, performed with agents that speak and with one that does not.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "script_bench.h"
#include "suite/suite.h"
#include "support/doctest.h"

namespace ppx::script {
namespace {

namespace fs = std::filesystem;

class Beeper final : public SpeechSynthesiser {
 public:
  base::Audio Speak(const std::string& text,
                    const std::map<std::string, std::string>& /*options*/) const override {
    return {Tone(0.06 * static_cast<double>(text.size())), kRateHz};
  }
  std::string identity() const override { return "beep"; }
};

std::vector<std::string> Examples() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(PPX_SOURCE_DIR "/eval/scripts")) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

Performance Run(const DialogueScript& script, const Agent& agent, Side side = Side::kA) {
  const Beeper beeper;
  const auto clips = std::make_shared<const ClipSet>(LoadClips(script, kRateHz, &beeper));
  return Perform(UserSide(script, clips, kRateHz, kFrame, 1, side), agent);
}

DialogueScript Example(const std::string& name) {
  return LoadScript(PPX_SOURCE_DIR "/eval/scripts/" + name + ".yaml");
}

TEST_CASE("all of them run, whatever the agent does") {
  const std::vector<Agent> agents{
      {}, {{{0, 100}}, {}}, {{{0.5, 2}, {9, 14}, {16, 30}}, {{" Goodbye", 10, 10.4}}}};
  const auto examples = Examples();
  CHECK(examples.size() >= 6);
  for (const std::string& path : examples) {
    CAPTURE(path);
    const DialogueScript script = LoadScript(path);
    CHECK(script.name == fs::path(path).stem().string());
    CHECK_FALSE(script.description.empty());
    for (const std::string& file : FilesOf(script)) CHECK(fs::is_regular_file(file));
    for (const Agent& agent : agents) {
      const auto p = Run(script, agent);
      CHECK_FALSE(p.WhyEnded().empty());
      const float peak =
          std::abs(*std::max_element(p.user.begin(), p.user.end(),
                                     [](float a, float b) { return std::abs(a) < std::abs(b); }));
      CHECK(peak > 0.01F);
      CHECK(peak <= 1.0F);
    }
    if (script.IsDyad()) CHECK(Run(script, {}, Side::kB).WhyEnded() == "duration");
  }
}

TEST_CASE("the interruption comes two seconds into the answer") {
  const auto script = Example("interrupt_two_seconds_in");
  const auto p = Run(script, {{{9, 14}}, {}});
  CHECK(p.StartOf("hold_on") > 10.97);
  CHECK(p.StartOf("hold_on") < 11.11);
  CHECK(Run(script, {}).StartOf("hold_on") == -1);
}

TEST_CASE("the pause lasts a second") {
  const auto p = Run(Example("pause_inside_turn"), {});
  const auto* end = p.Find(EventKind::kClipEnd, "first");
  CHECK(p.StartOf("second_half") - end->time_s == doctest::Approx(1).epsilon(1e-3));
}

TEST_CASE("branches of the greeting") {
  const auto script = Example("greeting_then_question");
  const auto silent = Run(script, {});
  CHECK(silent.StartOf("hello") == 3.0);
  CHECK(silent.StartOf("again") > silent.StartOf("question"));
  CHECK(silent.WhyEnded() == "timeout");
  const auto greets = Run(script, {{{0.5, 2}, {10, 12}}, {}});
  CHECK(greets.StartOf("hello") == -1);
  CHECK(greets.StartOf("question") > 2.5);
  CHECK(greets.Find(EventKind::kEnd)->cause == "heard the answer");
  const auto leaves =
      Run(script, {{{0.5, 2}, {10, 12}}, {{" See", 10.0, 10.1}, {" you", 10.2, 10.3}}});
  CHECK(leaves.Find(EventKind::kEnd)->cause == "the agent said goodbye");
}

TEST_CASE("every task of a script has its place in the suite, with the file that marks it") {
  const auto suite = suite::LoadSuite(PPX_SOURCE_DIR "/eval/scripts.yaml");
  CHECK(suite.layout == suite::Layout::kTaskFolders);
  CHECK(suite.tasks.size() == 5);
  const Bench bench;
  for (const suite::Task& task : suite.tasks) {
    CAPTURE(task.name);
    const std::string kind = suite::TaskKindNames()[static_cast<size_t>(task.kind)];
    CHECK(task.name == "script_" + kind);
    CHECK(task.files.user == "input.wav");
    CHECK(task.files.agent == "output.wav");
    const bool marked = kind != "backchannel" && kind != "channels";
    const auto script = bench.WithClips("task: " + kind + "\nsteps: [{play: one" +
                                        (marked ? ", mark: true" : "") + "}]\n");
    const auto marks = MarksJson(script, {});
    CHECK(marks.has_value() == marked);
    CHECK(task.files.marks == (marks ? marks->name : ""));
  }
}

}  // namespace
}  // namespace ppx::script
