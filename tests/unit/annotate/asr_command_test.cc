#include "annotate/asr_command.h"

#include <signal.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::annotate {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;
using testing::TempDir;
using Clock = std::chrono::steady_clock;

// Echoes its arguments into the transcript, so that a test sees what arrived.
constexpr const char* kGood = R"(echo run >> "$(dirname "$0")/runs"
printf '{"text": "hello", "chunks": [{"text": "hello", "timestamp": [0.5, 0.9]}]}'
)";

std::string Script(const std::string& path, const std::string& body) {
  testing::WriteFile(path, "#!/bin/sh\n" + body);
  ::chmod(path.c_str(), 0755);
  return path;
}

struct Bench {
  TempDir dir;
  std::string wav = dir.File("in put 'x' \"y\" $HOME {json}.wav");
  std::string script = dir.File("a recogniser's");
  AsrOptions options;

  explicit Bench(const std::string& body) {
    testing::WriteFile(wav, "RIFF, as far as this test cares");
    Script(script, body);
    options.command = {script, "{wav}"};
    options.timeout_s = 20;
  }
  Transcript Transcribe() const { return AsrCommand(options).Transcribe(wav); }
  testing::Thrown Failure() const {
    return ErrorOf([&] { Transcribe(); });
  }
  size_t Runs() const {
    const std::string path = dir.File("runs");
    return fs::exists(path) ? testing::ReadFile(path).size() / 4 : 0;
  }
  std::vector<fs::path> CacheEntries() const {
    std::vector<fs::path> entries;
    for (const auto& entry : fs::recursive_directory_iterator(options.cache_folder)) {
      if (entry.is_regular_file()) entries.push_back(entry.path());
    }
    return entries;
  }
};

TEST_CASE("a transcript from standard output") {
  const Bench bench(kGood);
  const Transcript transcript = bench.Transcribe();
  CHECK(transcript.text == "hello");
  REQUIRE(transcript.chunks.size() == 1);
  CHECK(transcript.chunks[0].start_s == 0.5);
}

TEST_CASE("a transcript from a file, whatever is printed; the file is gone afterwards") {
  Bench bench(R"(echo progress; echo "$1" > "$(dirname "$0")/where"
printf '{"chunks": [{"text": "hi", "timestamp": [0, 1]}]}' > "$1"
test -f "${2#--in=}"
)");
  bench.options.command = {bench.script, "{json}", "--in={wav}"};
  CHECK(bench.Transcribe().text == "hi");
  std::string where = testing::ReadFile(bench.dir.File("where"));
  where.pop_back();
  CHECK(!fs::exists(where));
  CHECK(!fs::exists(fs::path(where).parent_path()));
}

TEST_CASE("arguments arrive as they are: no shell, placeholders replaced once") {
  Bench bench(R"(for a in "$@"; do printf '%s\n' "$a"; done > "$(dirname "$0")/arguments"
printf '{"chunks": []}')");
  bench.options.command = {bench.script, "{wav}", "<{wav}>", "a b", "",
                           "$(id)",      "*",     "it's",    "{x}"};
  bench.Transcribe();
  const std::string wav = bench.wav;
  CHECK(testing::ReadFile(bench.dir.File("arguments")) ==
        wav + "\n<" + wav + ">\na b\n\n$(id)\n*\nit's\n{x}\n");
}

TEST_CASE("a relative path arrives as an absolute one") {
  Bench bench(R"(case "$1" in /*) printf '{"chunks": []}';; esac)");
  const std::string relative = fs::relative(bench.wav).string();
  CHECK(AsrCommand(bench.options).Transcribe(relative).chunks.empty());
}

TEST_CASE("failures name the recording, the program and what it wrote") {
  const Bench code("echo first >&2; echo 'no model' >&2; exit 1");
  CHECK(code.Failure().code == base::ErrorCode::kBadInput);
  CHECK(code.Failure().Mentions(code.wav));
  CHECK(code.Failure().Mentions("a recogniser's ended with exit code 1; it wrote: first no model"));

  const Bench signal("kill -9 $$");
  CHECK(signal.Failure().Mentions("ended by signal 9; it wrote nothing to standard error"));

  const Bench garbage("echo 'loading...'; echo '{}'");
  CHECK(garbage.Failure().Mentions("gave no transcript (standard output: not valid JSON"));

  const Bench wrong(R"(echo '{"chunks": [{"text": "a"}]}')");
  CHECK(wrong.Failure().Mentions("chunk 1: expected 'timestamp'"));

  const Bench nothing("true");
  CHECK(nothing.Failure().code == base::ErrorCode::kBadInput);

  Bench no_file("true");
  no_file.options.command.push_back("{json}");
  CHECK(no_file.Failure().Mentions("gave no transcript"));

  const Bench not_a_number(R"(echo '{"chunks": [{"text": "a", "timestamp": [NaN, 1]}]}')");
  CHECK(not_a_number.Failure().Mentions("not valid JSON"));
}

TEST_CASE("only the end of a long complaint is shown") {
  const Bench bench(
      "i=0; while [ $i -lt 20000 ]; do echo \"line $i\" >&2; i=$((i+1)); done; exit 3");
  const auto thrown = bench.Failure();
  CHECK(thrown.Mentions("exit code 3"));
  CHECK(thrown.Mentions("line 19999"));
  CHECK(thrown.message.size() < 1000);
}

TEST_CASE("a long transcript passes through the pipe") {
  const Bench bench(R"(printf '{"chunks": ['
i=0; while [ $i -lt 5000 ]; do printf '{"text": "word", "timestamp": [%d, %d]},' $i $i; i=$((i+1)); done
printf '{"text": "end", "timestamp": [5000, null]}]}')");
  CHECK(bench.Transcribe().chunks.size() == 5001);
}

// False for one that has ended as well and that only nobody has asked about: where process 1 of a
// container does not, that is how it stays.
bool IsRunning(pid_t pid) {
  if (::kill(pid, 0) != 0) return false;
  try {
    const std::string stat = testing::ReadFile("/proc/" + std::to_string(pid) + "/stat");
    return stat.find(") Z ") == std::string::npos;
  } catch (const std::runtime_error&) {
    return false;
  }
}

// Whether the process whose number is in the file is gone, soon.
bool GoneSoon(const std::string& file) {
  const pid_t pid = std::stoi(testing::ReadFile(file));
  for (int i = 0; i < 200; ++i) {
    if (!IsRunning(pid)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_CASE("the time-out stops the program and what it started") {
  Bench bench("sleep 60 & echo $! > \"$(dirname \"$0\")/child\"; echo started >&2; wait");
  bench.options.timeout_s = 0.5;
  const auto before = Clock::now();
  const auto thrown = bench.Failure();
  CHECK(Clock::now() - before < std::chrono::seconds(10));
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("took longer than 0.5 s and was stopped; it wrote: started"));
  CHECK(GoneSoon(bench.dir.File("child")));
}

TEST_CASE("a program that does not listen is killed") {
  Bench bench("trap '' TERM; while :; do sleep 0.1; done");
  bench.options.timeout_s = 0.3;
  const auto before = Clock::now();
  CHECK(bench.Failure().Mentions("took longer"));
  CHECK(Clock::now() - before < std::chrono::seconds(15));
}

TEST_CASE("a program's leftovers hold nothing up and are killed") {
  const Bench bench(std::string("sleep 60 & echo $! > \"$(dirname \"$0\")/child\"\n") + kGood);
  const auto before = Clock::now();
  CHECK(bench.Transcribe().text == "hello");
  CHECK(Clock::now() - before < std::chrono::seconds(15));
  CHECK(GoneSoon(bench.dir.File("child")));
}

TEST_CASE("cancelled from another thread") {
  const Bench bench("exec sleep 60");
  const AsrCommand command(bench.options);
  std::atomic<bool> cancel{false};
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancel = true;
  });
  const auto before = Clock::now();
  const auto thrown = ErrorOf([&] { command.Transcribe(bench.wav, &cancel); });
  CHECK(thrown.code == base::ErrorCode::kInterrupted);
  CHECK(Clock::now() - before < std::chrono::seconds(10));
}

TEST_CASE("the second time comes from the cache, also in another process") {
  Bench bench(kGood);
  bench.options.cache_folder = bench.dir.File("cache/deep");
  CHECK(bench.Transcribe().text == "hello");
  CHECK(bench.Runs() == 1);
  const Transcript again = bench.Transcribe();
  CHECK(bench.Runs() == 1);
  CHECK(again.text == "hello");
  REQUIRE(again.chunks.size() == 1);
  CHECK(again.chunks[0].end_s == 0.9);
  // By content: the same recording under another name.
  fs::copy_file(bench.wav, bench.dir.File("copy.wav"));
  AsrCommand(bench.options).Transcribe(bench.dir.File("copy.wav"));
  CHECK(bench.Runs() == 1);
  CHECK(bench.CacheEntries().size() == 1);
}

TEST_CASE("another recording, other arguments, another script or model: asked again") {
  Bench bench(kGood);
  const std::string model = bench.dir.File("model.bin");
  testing::WriteFile(model, "v1");
  bench.options.cache_folder = bench.dir.File("cache");
  bench.options.command = {bench.script, "{wav}", model};
  const AsrIdentity identity = AsrCommand(bench.options).identity();
  bench.Transcribe();
  testing::WriteFile(bench.wav, "RIFF, another");
  bench.Transcribe();
  CHECK(bench.Runs() == 2);
  testing::WriteFile(model, "v2");
  bench.Transcribe();
  CHECK(bench.Runs() == 3);
  CHECK(AsrCommand(bench.options).identity().sha256 != identity.sha256);
  Script(bench.script, std::string("# newer\n") + kGood);
  bench.Transcribe();
  CHECK(bench.Runs() == 4);
  bench.options.command.push_back("--beam=2");
  bench.Transcribe();
  CHECK(bench.Runs() == 5);
  bench.Transcribe();
  CHECK(bench.Runs() == 5);
}

TEST_CASE("damaged entries are made anew, failures are not kept") {
  Bench bench(kGood);
  bench.options.cache_folder = bench.dir.File("cache");
  bench.Transcribe();
  const std::string entry = bench.CacheEntries().at(0).string();
  const std::string bytes = testing::ReadFile(entry);
  std::string changed = bytes;
  changed.replace(changed.find("hello"), 5, "jello");
  size_t runs = 1;
  for (const std::string& damaged : {std::string(), std::string("{"), std::string("[]"),
                                     bytes.substr(0, bytes.size() / 2), changed}) {
    CAPTURE(damaged);
    testing::WriteFile(entry, damaged);
    CHECK(bench.Transcribe().text == "hello");
    CHECK(bench.Runs() == ++runs);
    CHECK(testing::ReadFile(entry) == bytes);
  }

  Bench failing("echo run >> \"$(dirname \"$0\")/runs\"; exit 1");
  failing.options.cache_folder = failing.dir.File("cache");
  CHECK(failing.Failure().code.has_value());
  CHECK(failing.Failure().code.has_value());
  CHECK(failing.Runs() == 2);
}

TEST_CASE("several threads at once") {
  Bench bench(kGood);
  bench.options.cache_folder = bench.dir.File("cache");
  const AsrCommand command(bench.options);
  std::atomic<int> good{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        const TempDir own;
        testing::WriteFile(own.File("x.wav"), std::to_string(i % 4));
        if (command.Transcribe(own.File("x.wav")).text == "hello") ++good;
      });
    }
  }
  CHECK(good == 8);
  CHECK(bench.CacheEntries().size() == 4);
}

TEST_CASE("who made a transcript") {
  Bench bench(kGood);
  bench.options.command = {"sh", bench.script, "{wav}", "--name=it's"};
  const AsrIdentity identity = AsrCommand(bench.options).identity();
  CHECK(identity.name == "sh");
  CHECK(identity.command.starts_with("sh '"));
  CHECK(identity.command.ends_with(" {wav} '--name=it'\\''s'"));
  CHECK(identity.sha256.size() == 64);
  CHECK(AsrCommand(bench.options).identity() == identity);
  CHECK(bench.Transcribe().text == "hello");
}

TEST_CASE("commands that cannot work are refused before anything is run") {
  Bench bench(kGood);
  const auto refused = [&](std::vector<std::string> command) {
    bench.options.command = std::move(command);
    const auto thrown = ErrorOf([&] { AsrCommand asr(bench.options); });
    CHECK(thrown.code == base::ErrorCode::kUsage);
    return thrown.message;
  };
  refused({});
  refused({""});
  CHECK(refused({bench.script}).find("{wav}") != std::string::npos);
  CHECK(refused({bench.script, "{json}"}).find("{wav}") != std::string::npos);
  CHECK(refused({"no-such-recogniser", "{wav}"}).find("PATH") != std::string::npos);
  CHECK(refused({bench.dir.File("none"), "{wav}"}).find("none") != std::string::npos);
  CHECK(refused({bench.wav, "{wav}"}).find("permissions") != std::string::npos);
  CHECK(refused({bench.dir.path(), "{wav}"}).find("no program") != std::string::npos);
  bench.options.command = {bench.script, "{wav}"};
  for (const double timeout_s : {0.0, -1.0}) {
    bench.options.timeout_s = timeout_s;
    CHECK(ErrorOf([&] { AsrCommand asr(bench.options); }).code == base::ErrorCode::kUsage);
  }
  bench.options.timeout_s = 5;
  bench.options.cache_folder = bench.wav + "/cache";
  CHECK(ErrorOf([&] { AsrCommand asr(bench.options); }).code == base::ErrorCode::kUsage);
  CHECK(bench.Runs() == 0);
}

TEST_CASE("a script without an interpreter cannot be started; a missing recording is named") {
  Bench bench(kGood);
  testing::WriteFile(bench.script, "#!/no/such/interpreter\n");
  CHECK(bench.Failure().code == base::ErrorCode::kResource);
  const Bench good(kGood);
  const auto thrown =
      ErrorOf([&] { AsrCommand(good.options).Transcribe(good.dir.File("none.wav")); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("none.wav"));
  CHECK(good.Runs() == 0);
}

}  // namespace
}  // namespace ppx::annotate
