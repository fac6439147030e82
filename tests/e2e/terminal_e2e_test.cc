// What the program says, and when it is stopped.
#include <signal.h>

#include "e2e/offline.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("help and version") {
  const RunResult help = Offline({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.err.empty());
  for (const char* part : {"Examples", "Exit codes", "--input-wav", "--voice-prompt", "--seed"}) {
    CAPTURE(part);
    CHECK(Has(help.out, part));
  }
  const RunResult version = Offline({"--version"});
  CHECK(version.exit_code == 0);
  CHECK(version.err.empty());
  CHECK(version.out.rfind("ppx-offline ", 0) == 0);
  CHECK(version.out.find('\n') == version.out.size() - 1);
}

TEST_CASE("a bar with the time left on a terminal only") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(24000 * 30));
  const Arguments run = Tiny(folder / "in.wav") + Arguments{"--output-wav", folder / "o.wav"};
  RunOptions terminal;
  terminal.terminal = true;
  const RunResult shown = Offline(run, terminal);
  INFO(Told(shown));
  CHECK(shown.exit_code == 0);
  CHECK(Has(shown.err, "loading the model"));
  CHECK(Has(shown.err, "dialogue ["));
  CHECK(Has(shown.err, " %"));
  CHECK(Has(shown.err, "ETA "));
  CHECK(Has(shown.err, "x real time"));
  CHECK(!Has(shown.out, "ETA"));

  RunOptions dumb = terminal;
  dumb.environment["TERM"] = "dumb";
  for (const RunResult& plain : {Offline(run), Offline(run, dumb)}) {
    CHECK(plain.exit_code == 0);
    CHECK(!Has(plain.err, "dialogue ["));
    CHECK(!Has(plain.err, "\r\033"));
    CHECK(Has(plain.out, "real time"));
  }
}

TEST_CASE("--quiet says nothing, on a terminal neither") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(24000));
  RunOptions terminal;
  terminal.terminal = true;
  const RunResult run =
      Offline(Tiny(folder / "in.wav") + Arguments{"--voice-prompt", GoldenFile("voice.pt"),
                                                  "--sample-format", "float32", "--output-wav",
                                                  folder / "o.wav", "--quiet"},
              terminal);
  INFO(Told(run));
  CHECK(run.exit_code == 0);
  CHECK(run.out.empty());
  CHECK(run.err.empty());
}

TEST_CASE("interrupted: nothing is written") {
  const Folder inputs;
  WriteRecording(inputs / "in.wav", Noise(24000 * 600));
  for (const int signal : {SIGINT, SIGTERM}) {
    CAPTURE(signal);
    const Folder folder;
    WriteBytes(folder / "o.wav", "of an earlier run");
    RunOptions options;
    options.terminal = true;
    options.signal_at = "dialogue [";
    options.signal = signal;
    const RunResult run = Offline(
        Tiny(inputs / "in.wav") +
            Arguments{"--output-wav", folder / "o.wav", "--output-text", folder / "o.json",
                      "--output-record", folder / "run.json", "--trace", folder / "t.safetensors"},
        options);
    INFO(Told(run));
    CHECK(!run.timed_out);
    CHECK(run.exit_code == 130);
    CHECK(Has(run.err, "ppx-offline: interrupted"));
    CHECK(run.out.empty());
    CHECK(folder.Names() == std::vector<std::string>{"o.wav"});
    CHECK(ReadBytes(folder / "o.wav") == "of an earlier run");
  }
}

}  // namespace
}  // namespace ppx::test
