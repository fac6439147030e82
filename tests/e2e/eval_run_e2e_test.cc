// ppx-eval run: another program renders, then everything is scored. The other program is a script
// here, which notes how it was called and puts prepared outputs in place.
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <sstream>

#include "e2e/eval.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kTask = "candor_turn_taking";

// $FAKE_CODE: its exit code. $FAKE_SIGNAL: the signal it ends itself with. $FAKE_WAIT: it renders
// until it is told to stop, at most three seconds, and then takes a while. $FAKE_LEAVES: it leaves
// the terminal, whose signals it then does not get.
constexpr const char* kScript = R"(#!/bin/sh
if [ -n "$FAKE_LEAVES" ]; then
  unset FAKE_LEAVES
  exec setsid "$0" "$@"
fi
printf '%s\n' "$@" >"$FAKE/arguments"
echo "a summary of what was rendered"
if [ -n "$FAKE_SIGNAL" ]; then kill -"$FAKE_SIGNAL" $$; fi
if [ -n "$FAKE_WAIT" ]; then
  told=0
  trap 'told=$((told + 1)); echo "told to stop" >&2' INT TERM
  echo "rendering" >&2
  turns=0
  while [ $told = 0 ] && [ $turns -lt 60 ]; do sleep 0.05; turns=$((turns + 1)); done
  for i in 1 2 3 4 5 6 7 8; do sleep 0.05; done
  echo "told $told times" >&2
  exit "${FAKE_CODE:-130}"
fi
cp -r "$FAKE/rendered/." "$FAKE_INTO"
exit "${FAKE_CODE:-0}"
)";

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Ten recordings with their annotations in data/, and what the fake renders of them: answers after
// half a second. Outputs go to out/.
class Stage {
 public:
  Stage() {
    WriteChannel(folder_ / "channel.wav");
    for (int id = 0; id < 10; ++id) {
      const std::string sample = std::string("/") + kTask + "/" + std::to_string(id);
      WriteSample(folder_ / ("rendered" + sample), folder_ / "channel.wav",
                  {{"output.json", Words({{"yes", 3.6, 5}})},
                   {"turn_taking.json", {{{"timestamp", {3.0, 3.1}}}}},
                   {"run.json", {{"program", "ppx-batch"}, {"options", {{"tail", 2.0}}}}}});
      fs::create_directories(folder_ / ("data" + sample));
    }
    fs::create_directories(folder_ / "out");
    WriteBytes(folder_ / "fake-batch", kScript);
    fs::permissions(folder_ / "fake-batch", fs::perms::owner_all);
  }

  std::string operator/(const std::string& name) const { return folder_ / name; }

  RunOptions Environment(std::map<std::string, std::optional<std::string>> more = {}) const {
    RunOptions options;
    options.environment = std::move(more);
    options.environment["PPX_BATCH"] = folder_ / "fake-batch";
    options.environment["FAKE"] = folder_.path();
    options.environment.emplace("FAKE_INTO", folder_ / "out");
    return options;
  }

  // `run` into out/, with results.json.
  Arguments Command(const Arguments& more = {}) const {
    return Arguments{"run",          "fdb-v1.0",
                     "--data",       folder_ / "data",
                     "--vad",        "energy",
                     "--cache",      SharedCache(),
                     "-o",           folder_ / "results",
                     "--resamples",  "500",
                     "--output-dir", folder_ / "out"} +
           more;
  }

  std::vector<std::string> CalledWith() const {
    std::vector<std::string> lines;
    std::istringstream text(ReadBytes(folder_ / "arguments"));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
  bool WasCalled() const { return fs::exists(folder_ / "arguments"); }
  bool WasScored() const { return fs::exists(folder_ / "results"); }

 private:
  Folder folder_;
};

TEST_CASE("renders, then scores what was rendered, published numbers beside") {
  const Stage stage;
  const RunResult run =
      Eval(stage.Command({"--", "--devices", "cpu", "--persona", "a b", "--lead-in=1", "--quiet"}),
           stage.Environment());
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(stage.CalledWith() ==
        std::vector<std::string>{"--suite", "fdb-v1.0", "--data", stage / "data", "--output-dir",
                                 stage / "out", "--devices", "cpu", "--persona", "a b",
                                 "--lead-in=1", "--quiet"});
  CHECK(Has(run.out, "takeover_rate"));
  CHECK(Has(run.out, "0.908"));  // PersonaPlex-7B-v1
  // Standard output is the table's alone.
  CHECK(!Has(run.out, "a summary"));
  CHECK(Has(run.err, "a summary"));
  CHECK(ReadJson(stage / "results").at("context").at("tail_s") == 2.0);

  // The same as by hand.
  const RunResult score = Eval(Score(stage / "out") + Arguments{"-o", stage / "by_hand"});
  REQUIRE(score.exit_code == 0);
  CHECK(score.out == run.out);
  CHECK(ReadBytes(stage / "by_hand") == ReadBytes(stage / "results"));
}

TEST_CASE("without --output-dir the data folder is scored") {
  const Stage stage;
  const RunResult run = Eval(
      {"run", "fdb-v1.0", "--data", stage / "data", "--vad", "energy", "--cache", SharedCache(),
       "--task", kTask, "--task", "candor_pause_handling", "--quiet", "-o", stage / "results"},
      stage.Environment({{"FAKE_INTO", stage / "data"}}));
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(run.out.empty());
  CHECK(stage.CalledWith() == std::vector<std::string>{"--suite", "fdb-v1.0", "--data",
                                                       stage / "data", "--task", kTask, "--task",
                                                       "candor_pause_handling", "--quiet"});
  CHECK(ReadJson(stage / "results").at("samples").size() == 10);
}

TEST_CASE("some dialogues failed: the rest is scored") {
  const Stage stage;
  fs::remove(stage / ("rendered/" + std::string(kTask) + "/3/output.wav"));
  for (const char* code : {"1", "0"}) {
    CAPTURE(code);
    fs::remove(stage / "results");
    const RunResult run = Eval(stage.Command({"--json"}), stage.Environment({{"FAKE_CODE", code}}));
    INFO(Told(run));
    CHECK(run.exit_code == 1);
    CHECK(Has(run.err, "1 of 10 samples could not be scored"));
    CHECK(Json::parse(run.out) == ReadJson(stage / "results"));
  }
  // All could be scored, and still something failed.
  const Stage whole;
  CHECK(Eval(whole.Command(), whole.Environment({{"FAKE_CODE", "1"}})).exit_code == 1);
  CHECK(whole.WasScored());
}

TEST_CASE("a batch that could not do its work ends the run with its code") {
  const Stage stage;
  for (const int code : {2, 3, 4, 70, 130}) {
    CAPTURE(code);
    const RunResult run =
        Eval(stage.Command(), stage.Environment({{"FAKE_CODE", std::to_string(code)}}));
    INFO(Told(run));
    CHECK(run.exit_code == code);
    CHECK(run.out.empty());
    CHECK(!stage.WasScored());
  }
  const RunResult unknown = Eval(stage.Command(), stage.Environment({{"FAKE_CODE", "99"}}));
  CHECK(unknown.exit_code == 70);
  CHECK(Has(unknown.err, "exit code 99"));
  const RunResult killed = Eval(stage.Command(), stage.Environment({{"FAKE_SIGNAL", "KILL"}}));
  CHECK(killed.exit_code == 4);
  CHECK(Has(killed.err, "signal 9"));
  const RunResult stopped = Eval(stage.Command(), stage.Environment({{"FAKE_SIGNAL", "TERM"}}));
  CHECK(stopped.exit_code == 130);
  CHECK(!stage.WasScored());
}

TEST_CASE("a signal to ppx-eval alone is passed on, and the batch ends cleanly") {
  const Stage stage;
  for (const int signal : {SIGINT, SIGTERM}) {
    // Its work was finished just then: the user wanted it to stop all the same.
    for (const char* code : {"130", "0"}) {
      CAPTURE(signal);
      CAPTURE(code);
      RunOptions options = stage.Environment({{"FAKE_WAIT", "1"}, {"FAKE_CODE", code}});
      options.signal_at = "rendering";
      options.signal = signal;
      const RunResult run = Eval(stage.Command(), options);
      INFO(Told(run));
      CHECK(!run.timed_out);
      CHECK(run.exit_code == 130);
      CHECK(Has(run.err, "told 1 times"));
      CHECK(Has(run.err, "ppx-eval: interrupted"));
      CHECK(!stage.WasScored());
    }
  }
}

// As from a shell: a session of its own, whose terminal the program has.
RunResult RunInTerminal(const std::vector<std::string>& command, const RunOptions& options,
                        const std::string& type_at, char typed) {
  int master = -1;
  const pid_t child = ::forkpty(&master, nullptr, nullptr, nullptr);
  REQUIRE(child >= 0);
  if (child == 0) {
    for (const auto& [name, value] : options.environment) {
      if (value) {
        ::setenv(name.c_str(), value->c_str(), 1);
      } else {
        ::unsetenv(name.c_str());
      }
    }
    std::vector<std::string> words = command;
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  RunResult result;
  bool done = false;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (true) {
    pollfd polled{master, POLLIN, 0};
    ::poll(&polled, 1, 100);
    if (polled.revents != 0) {
      std::array<char, 4096> buffer;
      const ssize_t count = ::read(master, buffer.data(), buffer.size());
      if (count <= 0 && errno != EINTR) break;  // EIO: nobody has the terminal any more
      if (count > 0) result.err.append(buffer.data(), static_cast<size_t>(count));
    }
    if (!done && Has(result.err, type_at)) {
      CHECK(::write(master, &typed, 1) == 1);
      done = true;
    }
    if (std::chrono::steady_clock::now() > deadline) {
      result.timed_out = true;
      ::kill(child, SIGKILL);
      break;
    }
  }
  ::close(master);
  int status = 0;
  ::waitpid(child, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

TEST_CASE("Ctrl-C in a terminal is not passed on: the batch has it already") {
  const Stage stage;
  constexpr char kControlC = 3;
  // Two signals in quick succession may look like one. Outside the terminal the batch hears only
  // what is passed on: nothing.
  const std::vector<std::pair<const char*, std::string>> cases{{"", "told 1 times"},
                                                               {"1", "told 0 times"}};
  for (const auto& [leaves, told] : cases) {
    CAPTURE(told);
    const RunOptions options =
        CleanEnvironment(stage.Environment({{"FAKE_WAIT", "1"}, {"FAKE_LEAVES", leaves}}));
    const RunResult run =
        RunInTerminal(Arguments{PPX_EVAL} + stage.Command(), options, "rendering", kControlC);
    INFO(Told(run));
    CHECK(!run.timed_out);
    CHECK(run.exit_code == 130);
    CHECK(Has(run.err, told));
    CHECK(Has(run.err, "ppx-eval: interrupted"));
    CHECK(!stage.WasScored());
  }
}

TEST_CASE("mistakes show before anything is rendered") {
  const Stage stage;
  struct Mistake {
    Arguments more;
    int code;
    std::string told;
  };
  WriteBytes(stage / "bad.yaml", "name: g\nversion: 1\nrules: 3\n");
  const std::vector<Mistake> mistakes{
      {{"--", "--matrix", "seed=1,2"}, 2, "ppx-eval score"},
      {{"--", "--shard=1/2"}, 2, "--shard"},
      {{"--", "--dry-run"}, 2, "--dry-run"},
      {{"--", "--suite", "fdb-v1.5"}, 2, "--suite"},
      {{"stray"}, 2, "stray"},
      {{"--devices", "cpu"}, 2, "--devices"},
      {{"--gates", stage / "bad.yaml"}, 3, "bad.yaml"},
      {{"--gates", "no-such-gates"}, 3, "no-such-gates"},
      {{"--baseline", stage / "none.json"}, 2, "--gates"},
      {{"--csv", stage / "none/x.csv"}, 2, "none"},
      {{"--reference-offsets", stage / "none.json"}, 3, "none.json"},
      {{"--write-transcripts"}, 2, "--asr"},
  };
  for (const Mistake& mistake : mistakes) {
    CAPTURE(mistake.told);
    const RunResult run = Eval(stage.Command(mistake.more), stage.Environment());
    INFO(Told(run));
    CHECK(run.exit_code == mistake.code);
    CHECK(Has(run.err, mistake.told));
    CHECK(!stage.WasCalled());
  }
  CHECK(Eval({"run", "no-such-suite", "--data", stage / "data"}, stage.Environment()).exit_code ==
        3);
  CHECK(Eval({"run", "fdb-v1.0"}, stage.Environment()).exit_code == 2);
  RunOptions nowhere = stage.Environment();
  nowhere.environment["PPX_BATCH"] = stage / "none";
  const RunResult missing = Eval(stage.Command(), nowhere);
  CHECK(missing.exit_code == 4);
  CHECK(Has(missing.err, "PPX_BATCH"));
  fs::permissions(stage / "fake-batch", fs::perms::owner_read);
  const RunResult no_program = Eval(stage.Command(), stage.Environment());
  CHECK(no_program.exit_code == 4);
  CHECK(Has(no_program.err, "cannot be started"));
  CHECK(!stage.WasCalled());
}

TEST_CASE("a gate decides the exit code") {
  const Stage stage;
  const auto run = [&](const std::string& rule, const char* batch_code, const Arguments& more) {
    WriteBytes(stage / "g.yaml",
               "name: g\nversion: 1\nrules:\n  - {task: candor_turn_taking, scorer: fdb-exact, "
               "metric: takeover_rate, " +
                   rule + "}\n");
    return Eval(stage.Command(Arguments{"--gates", stage / "g.yaml"} + more),
                stage.Environment({{"FAKE_CODE", batch_code}}));
  };
  const RunResult passed = run("min: 0.9", "0", {"--junit", stage / "junit.xml"});
  INFO(Told(passed));
  CHECK(passed.exit_code == 0);
  CHECK(Has(passed.out, "0.908"));
  CHECK(Has(passed.out, "1 of 1 rules hold"));
  CHECK(Has(ReadBytes(stage / "junit.xml"), "takeover_rate"));
  CHECK(run("min: 0.9", "1", {}).exit_code == 1);
  CHECK(run("max: 0.9", "0", {}).exit_code == 1);
  CHECK(run("min: 0.9, min_n: 11", "0", {}).exit_code == 2);
  CHECK(run("min: 0.9, min_n: 11", "1", {}).exit_code == 2);
  const std::string baseline = "baseline: {margin: 0.1, test: point}";
  fs::copy_file(stage / "results", stage / "before");
  CHECK(run(baseline, "0", {"--baseline", stage / "before"}).exit_code == 0);
  CHECK(run(baseline, "0", {}).exit_code == 2);
  // Results on standard output stay JSON.
  const RunResult json = run("max: 0.9", "0", {"--json"});
  CHECK(json.exit_code == 1);
  CHECK(Json::parse(json.out) == ReadJson(stage / "results"));
  CHECK(Has(json.err, "0 of 1 rules hold"));
}

}  // namespace
}  // namespace ppx::test
