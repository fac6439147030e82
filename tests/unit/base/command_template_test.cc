#include "base/command_template.h"

#include <sys/stat.h>

#include <filesystem>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::base {
namespace {

using testing::ErrorOf;
using testing::TempDir;

std::string Script(const TempDir& dir, const std::string& name) {
  testing::WriteFile(dir.File(name), "#!/bin/sh\n");
  ::chmod(dir.File(name).c_str(), 0755);
  return dir.File(name);
}

TEST_CASE("a command line's words: blanks part them, quotes hold them together") {
  const auto words = [](const std::string& line) { return SplitCommand(line, "--asr"); };
  using Words = std::vector<std::string>;
  CHECK(words("") == Words{});
  CHECK(words(" \t ") == Words{});
  CHECK(words("  asr -m  {wav}\t--x ") == Words{"asr", "-m", "{wav}", "--x"});
  CHECK(words("'my asr.sh' \"it's\" '' 'a\\d \"b\"'") ==
        Words{"my asr.sh", "it's", "", "a\\d \"b\""});
  CHECK(words("it's a\\b --c='d e'") == Words{"it's", "a\\b", "--c='d", "e'"});
  for (const char* open : {"'", "a 'b", "\"a' b", "a \""}) {
    CAPTURE(open);
    const auto thrown = ErrorOf([&] { words(open); });
    CHECK(thrown.code == ErrorCode::kUsage);
    CHECK(thrown.Mentions("--asr: a "));
  }
}

TEST_CASE("places are filled in one pass, and other braces stay") {
  const CommandTemplate command({"sh", "{a}{b}", "x{a}y", "{c}", "{", "{a", "{}", "{{a}}", ""},
                                "the tool");
  const auto argv = command.Filled({{"a", "{b}"}, {"b", "two words"}});
  CHECK(argv == std::vector<std::string>{"sh", "{b}two words", "x{b}y", "{c}", "{", "{a", "{}",
                                         "{{b}}", ""});
  CHECK(command.Mentions("a"));
  CHECK(command.Mentions("c"));
  CHECK_FALSE(command.Mentions("d"));
}

TEST_CASE("the program's name is no place") {
  const TempDir dir;
  const CommandTemplate command({Script(dir, "{text}"), "x"}, "the tool");
  CHECK_FALSE(command.Mentions("text"));
  CHECK(command.Filled({{"text", "y"}}).front() == dir.File("{text}"));
}

TEST_CASE("an identity tells the arguments and the content of the files they name") {
  const TempDir dir;
  const std::string program = Script(dir, "tool");
  testing::WriteFile(dir.File("model"), "one");
  const auto identity = [&](std::vector<std::string> command) {
    return CommandTemplate(std::move(command), "the tool").identity();
  };
  const auto first = identity({program, "-m", dir.File("model")});
  CHECK(first.name == "tool");
  CHECK(first.sha256.size() == 64);
  CHECK(first == identity({program, "-m", dir.File("model")}));
  CHECK(first.sha256 != identity({program, "-n", dir.File("model")}).sha256);
  testing::WriteFile(dir.File("model"), "two");
  CHECK(first.sha256 != identity({program, "-m", dir.File("model")}).sha256);
  CHECK(identity({"sh", "a b", "it's"}).command == "sh 'a b' 'it'\\''s'");
}

TEST_CASE("commands that cannot be run") {
  const TempDir dir;
  const auto refused = [](std::vector<std::string> command) {
    const auto thrown = ErrorOf([&] { CommandTemplate(std::move(command), "the tool"); });
    CHECK(thrown.code == ErrorCode::kUsage);
    CHECK(thrown.Mentions("the tool"));
    return thrown.message;
  };
  refused({});
  refused({""});
  CHECK(refused({"no-such-tool-anywhere"}).find("PATH") != std::string::npos);
  CHECK(refused({dir.path()}).find("no program") != std::string::npos);
}

TEST_CASE("failures and complaints") {
  SubprocessResult result;
  CHECK(FailureOf(result, 1, "speech").empty());
  result.code = 3;
  CHECK(FailureOf(result, 1, "speech") == "ended with exit code 3");
  result.end = SubprocessEnd::kSignalled;
  CHECK(FailureOf(result, 1, "speech") == "was ended by signal 3");
  result.end = SubprocessEnd::kTimeout;
  CHECK(FailureOf(result, 1.5, "speech").find("1.5 s") != std::string::npos);
  result.end = SubprocessEnd::kTooMuchOutput;
  CHECK(FailureOf(result, 1, "speech").find("speech") != std::string::npos);
  CHECK(Complaint("") == "; it wrote nothing to standard error");
  CHECK(Complaint(" \n a\nb \n") == "; it wrote: a b");
  const std::string tail = Complaint("\xC3\xA9" + std::string(1000, 'x'));
  CHECK(tail.size() < 450);
  CHECK(tail.find("...") != std::string::npos);
}

TEST_CASE("a work folder goes with all that is in it") {
  std::string file;
  {
    const WorkFolder work;
    file = work.File("x");
    testing::WriteFile(file, "y");
    CHECK(WorkFolder().File("x") != file);
  }
  CHECK_FALSE(std::filesystem::exists(std::filesystem::path(file).parent_path()));
}

}  // namespace
}  // namespace ppx::base
