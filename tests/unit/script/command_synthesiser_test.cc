#include "script/command_synthesiser.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "script_bench.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::script {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;

// A program that writes sound.wav, whatever it is to say, and notes how it was called.
struct Studio {
  testing::TempDir dir;
  std::string program = dir.File("speak");
  SynthesiserOptions options;

  explicit Studio(const std::string& body = "cp \"$here/sound.wav\" \"$2\"\n") {
    WriteSound(dir.File("sound.wav"), Tone(0.3));
    testing::WriteFile(program,
                       "#!/bin/sh\nhere=$(dirname \"$0\")\nprintf '%s|' \"$@\" >> "
                       "\"$here/calls\"\necho >> \"$here/calls\"\n" +
                           body);
    ::chmod(program.c_str(), 0755);
    options.command = {program, "{text}", "{wav}"};
    options.timeout_s = 20;
  }
  base::Audio Speak(const std::string& text = "hello",
                    const std::map<std::string, std::string>& with = {}) const {
    return CommandSynthesiser(options).Speak(text, with);
  }
  testing::Thrown Failure(const std::string& text = "hello",
                          const std::map<std::string, std::string>& with = {}) const {
    return ErrorOf([&] { Speak(text, with); });
  }
  std::string Calls() const {
    return fs::exists(dir.File("calls")) ? testing::ReadFile(dir.File("calls")) : "";
  }
  size_t Runs() const {
    const std::string calls = Calls();
    return static_cast<size_t>(std::count(calls.begin(), calls.end(), '\n'));
  }
  std::vector<fs::path> Entries(const std::string& extension) const {
    std::vector<fs::path> entries;
    for (const auto& entry : fs::recursive_directory_iterator(options.cache_folder)) {
      if (entry.path().extension() == extension) entries.push_back(entry.path());
    }
    return entries;
  }
};

TEST_CASE("a text goes to the program as it is, and the sound comes back") {
  const Studio studio;
  const std::string text = "it's \"$HOME\"; {wav} `ls` -x";
  const auto speech = studio.Speak(text);
  CHECK(speech.sample_rate_hz == kRateHz);
  CHECK(speech.samples == Tone(0.3));
  CHECK(studio.Calls().rfind(text + "|/", 0) == 0);
}

TEST_CASE("voices and options fill their places") {
  Studio studio;
  studio.options.command = {studio.program, "{text}", "{wav}", "-v{voice}", "{speed}"};
  studio.options.default_voice = "slt";
  studio.Speak("a", {{"speed", "1.2"}});
  studio.Speak("b", {{"speed", "2"}, {"voice", "awb"}});
  CHECK(studio.Calls().find("|-vslt|1.2|\n") != std::string::npos);
  CHECK(studio.Calls().find("|-vawb|2|\n") != std::string::npos);
  studio.options.default_voice.clear();
  const auto none = studio.Failure("a", {{"speed", "1"}});
  CHECK(none.code == base::ErrorCode::kUsage);
  CHECK(none.Mentions("{voice}"));
  const auto unknown = studio.Failure("a", {{"voice", "x"}, {"pitch", "1"}});
  CHECK(unknown.code == base::ErrorCode::kUsage);
  CHECK(unknown.Mentions("{pitch}"));
}

TEST_CASE("a rerun starts nothing; another text, option or program does") {
  Studio studio;
  studio.options.cache_folder = studio.dir.File("cache/deep");
  studio.options.command = {studio.program, "{text}", "{wav}", "{voice}"};
  const auto first = studio.Speak("a", {{"voice", "x"}});
  CHECK(studio.Speak("a", {{"voice", "x"}}).samples == first.samples);
  CHECK(studio.Runs() == 1);
  studio.Speak("a", {{"voice", "y"}});
  studio.Speak("b", {{"voice", "x"}});
  CHECK(studio.Runs() == 3);
  CHECK(studio.Entries(".wav").size() == 3);
  testing::WriteFile(studio.program, testing::ReadFile(studio.program) + "# changed\n");
  studio.Speak("a", {{"voice", "x"}});
  CHECK(studio.Runs() == 4);
}

TEST_CASE("damaged entries are made anew, and failures are not kept") {
  Studio studio;
  studio.options.cache_folder = studio.dir.File("cache");
  studio.Speak();
  const fs::path wav = studio.Entries(".wav").at(0);
  const fs::path facts = studio.Entries(".json").at(0);
  const std::string good_wav = testing::ReadFile(wav.string());
  const std::string good_facts = testing::ReadFile(facts.string());
  size_t runs = 1;
  const auto renewed = [&] {
    CHECK(studio.Speak().samples == Tone(0.3));
    CHECK(studio.Runs() == ++runs);
    CHECK(testing::ReadFile(wav.string()) == good_wav);
    CHECK(testing::ReadFile(facts.string()) == good_facts);
  };
  std::string flipped = good_wav;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  for (const std::string& damaged : {std::string("x"), flipped, good_wav.substr(0, 100)}) {
    testing::WriteFile(wav.string(), damaged);
    renewed();
  }
  for (const char* damaged : {"", "{", "[]", "{}"}) {
    testing::WriteFile(facts.string(), damaged);
    renewed();
  }
  fs::remove(wav);
  renewed();

  Studio failing("exit 1\n");
  failing.options.cache_folder = failing.dir.File("cache");
  CHECK(failing.Failure().code == base::ErrorCode::kBadInput);
  CHECK(failing.Failure().code == base::ErrorCode::kBadInput);
  CHECK(failing.Runs() == 2);
}

TEST_CASE("of several that want the same speech one makes it") {
  // Never speaks twice alike.
  Studio studio("sleep 0.2\ncp \"$here/sound$(wc -l < \"$here/calls\").wav\" \"$2\"\n");
  for (int i = 1; i <= 6; ++i) {
    WriteSound(studio.dir.File("sound" + std::to_string(i) + ".wav"), Tone(0.1 * i));
  }
  studio.options.cache_folder = studio.dir.File("cache");
  std::vector<base::Audio> heard(6);
  {
    std::vector<std::jthread> threads;
    for (base::Audio& audio : heard) {
      threads.emplace_back([&] { audio = studio.Speak("same"); });
    }
  }
  CHECK(studio.Runs() == 1);
  for (const base::Audio& audio : heard) CHECK(audio.samples == heard[0].samples);
}

TEST_CASE("programs that fail are named, with the text and what they wrote") {
  const auto failure = [](const std::string& body, const std::string& text) {
    Studio studio(body);
    studio.options.timeout_s = 1;
    const auto thrown = studio.Failure("my words");
    CAPTURE(thrown.message);
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CHECK(thrown.Mentions("speak"));
    CHECK(thrown.Mentions("'my words'"));
    CHECK(thrown.Mentions(text));
  };
  failure("echo no such voice >&2; exit 3\n", "exit code 3");
  failure("echo no such voice >&2; exit 3\n", "it wrote: no such voice");
  failure("kill -9 $$\n", "signal 9");
  failure("sleep 30\n", "longer than 1 s");
  failure("exit 0\n", "gave no speech");
  failure("echo hello > \"$2\"\n", "gave no speech");
  failure(": > \"$2\"\n", "gave no speech");
}

TEST_CASE("an interrupt ends the wait") {
  Studio studio("sleep 30\n");
  std::atomic<bool> cancel{false};
  studio.options.cancel = &cancel;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel = true;
  });
  CHECK(studio.Failure().code == base::ErrorCode::kInterrupted);
  studio.options.cache_folder = studio.dir.File("cache");
  CHECK(studio.Failure().code == base::ErrorCode::kInterrupted);
}

TEST_CASE("commands that cannot work are refused before anything is run") {
  Studio studio;
  const auto refused = [&](std::vector<std::string> command, const std::string& text) {
    studio.options.command = std::move(command);
    const auto thrown = ErrorOf([&] { CommandSynthesiser synthesiser(studio.options); });
    CHECK(thrown.code == base::ErrorCode::kUsage);
    CHECK(thrown.Mentions(text));
  };
  refused({}, "synthesiser");
  refused({studio.program, "{wav}"}, "{text}");
  refused({studio.program, "{text}"}, "{wav}");
  refused({studio.dir.File("none"), "{text}", "{wav}"}, "none");
  studio.options.timeout_s = 0;
  refused({studio.program, "{text}", "{wav}"}, "time-out");
  studio.options.timeout_s = 5;
  studio.options.cache_folder = studio.program + "/x";
  refused({studio.program, "{text}", "{wav}"}, "folder for speech");
  CHECK(studio.Runs() == 0);
}

TEST_CASE("a cache that cannot be written is no failure") {
  Studio studio;
  studio.options.cache_folder = studio.dir.File("cache");
  const CommandSynthesiser synthesiser(studio.options);
  fs::remove_all(studio.options.cache_folder);
  testing::WriteFile(studio.options.cache_folder, "in the way");
  CHECK(synthesiser.Speak("x", {}).samples == Tone(0.3));
}

}  // namespace
}  // namespace ppx::script
