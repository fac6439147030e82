#include "base/command_template.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iomanip>
#include <span>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/digest.h"
#include "base/error.h"

namespace ppx::base {
namespace {

namespace fs = std::filesystem;

constexpr int kIdentityFormat = 1;
constexpr size_t kShownErrorBytes = 400;

std::string Digest(const std::string& text) { return Sha256Hex(std::as_bytes(std::span(text))); }

bool IsProgram(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

// Where execvp finds `name`.
std::string FindProgram(const std::string& name, const std::string& what) {
  if (name.find('/') != std::string::npos) {
    if (IsProgram(name)) return name;
    ThrowUsage(fmt::format(
        "{}: {} is no program that can be run; look at the path and its permissions", name, what));
  }
  const char* variable = ::getenv("PATH");
  std::string_view folders = variable != nullptr ? variable : "/bin:/usr/bin";
  while (true) {
    const size_t end = folders.find(':');
    const std::string_view folder = folders.substr(0, end);
    const fs::path path = fs::path(folder.empty() ? "." : folder) / name;
    if (IsProgram(path)) return path.string();
    if (end == std::string_view::npos) break;
    folders.remove_prefix(end + 1);
  }
  ThrowUsage(fmt::format("{}: {} is not in PATH; give the path of the program", name, what));
}

std::string Quoted(const std::string& argument) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_{}";
  if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) return argument;
  std::string quoted = "'";
  for (const char c : argument) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

CommandIdentity Identify(const std::vector<std::string>& command, const std::string& program) {
  // Digests of the arguments in place of these: they need not be UTF-8, as JSON must.
  const auto text = [](const std::string& hex) { return fmt::format("\"{}\"", hex); };
  std::string facts = fmt::format("[{},{},{}", kIdentityFormat, text(Digest(command.front())),
                                  text(Sha256File(program)));
  std::vector<std::string> quoted{Quoted(command.front())};
  for (size_t i = 1; i < command.size(); ++i) {
    quoted.push_back(Quoted(command[i]));
    std::error_code ignored;
    const bool file = fs::is_regular_file(command[i], ignored);
    facts += fmt::format(",{},{}", text(Digest(command[i])),
                         file ? text(Sha256File(command[i])) : "null");
  }
  return {fs::path(command.front()).filename().string(), fmt::format("{}", fmt::join(quoted, " ")),
          Digest(facts + "]")};
}

// The value whose {place} `argument` begins with, and how long the place is.
std::pair<const std::string*, size_t> PlaceAt(std::string_view argument,
                                              const std::map<std::string, std::string>& values) {
  if (argument.front() != '{') return {nullptr, 0};
  const size_t end = argument.find('}');
  if (end == std::string_view::npos) return {nullptr, 0};
  const auto found = values.find(std::string(argument.substr(1, end - 1)));
  if (found == values.end()) return {nullptr, 0};
  return {&found->second, end + 1};
}

}  // namespace

std::vector<std::string> SplitCommand(const std::string& line, const std::string& origin) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  while (stream >> std::ws && !stream.eof()) {
    const char first = static_cast<char>(stream.peek());
    std::string word;
    if (first == '\'' || first == '"') {
      constexpr char kNoEscape = '\0';
      stream >> std::quoted(word, first, kNoEscape);
    } else {
      stream >> word;
    }
    if (!stream) ThrowUsage(fmt::format("{}: a {} of '{}' is never closed", origin, first, line));
    words.push_back(word);
  }
  return words;
}

CommandTemplate::CommandTemplate(std::vector<std::string> command, const std::string& what)
    : command_(std::move(command)) {
  if (command_.empty() || command_.front().empty()) {
    ThrowUsage(what + "'s command is empty; give a program and its arguments");
  }
  identity_ = Identify(command_, FindProgram(command_.front(), what));
}

bool CommandTemplate::Mentions(std::string_view place) const {
  const std::string braced = fmt::format("{{{}}}", place);
  return std::any_of(command_.begin() + 1, command_.end(), [&](const std::string& argument) {
    return argument.find(braced) != std::string::npos;
  });
}

std::vector<std::string> CommandTemplate::Filled(
    const std::map<std::string, std::string>& values) const {
  std::vector<std::string> argv{command_.front()};
  for (size_t i = 1; i < command_.size(); ++i) {
    std::string& filled = argv.emplace_back();
    for (std::string_view rest = command_[i]; !rest.empty();) {
      const auto [value, length] = PlaceAt(rest, values);
      filled += value != nullptr ? *value : std::string(1, rest.front());
      rest.remove_prefix(value != nullptr ? length : 1);
    }
  }
  return argv;
}

std::string FailureOf(const SubprocessResult& result, double timeout_s, std::string_view output) {
  switch (result.end) {
    case SubprocessEnd::kTimeout:
      return fmt::format("took longer than {} s and was stopped", timeout_s);
    case SubprocessEnd::kTooMuchOutput:
      return fmt::format("printed more than {} can be long and was stopped", output);
    case SubprocessEnd::kSignalled:
      return fmt::format("was ended by signal {}", result.code);
    case SubprocessEnd::kCancelled:
    case SubprocessEnd::kExited:
      break;
  }
  return result.code == 0 ? "" : fmt::format("ended with exit code {}", result.code);
}

std::string Complaint(std::string tail) {
  for (char& c : tail) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  const size_t last = tail.find_last_not_of(' ');
  tail.resize(last == std::string::npos ? 0 : last + 1);
  if (tail.size() > kShownErrorBytes) {
    size_t cut = tail.size() - kShownErrorBytes;
    // Not within a character.
    while (cut < tail.size() && (static_cast<unsigned char>(tail[cut]) & 0xC0) == 0x80) ++cut;
    tail.replace(0, cut, "... ");
  }
  tail.erase(0, std::min(tail.find_first_not_of(' '), tail.size()));
  return tail.empty() ? "; it wrote nothing to standard error" : "; it wrote: " + tail;
}

WorkFolder::WorkFolder() {
  std::error_code error;
  const fs::path temporary = fs::temp_directory_path(error);
  std::string pattern = (temporary / "ppx-work-XXXXXX").string();
  if (error || ::mkdtemp(pattern.data()) == nullptr) {
    ThrowResource(
        fmt::format("{}: cannot make a folder for a program's output ({}); set TMPDIR to a folder "
                    "that you may write to",
                    pattern, error ? error.message() : ErrnoText(errno)));
  }
  path_ = pattern;
}

WorkFolder::~WorkFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace ppx::base
