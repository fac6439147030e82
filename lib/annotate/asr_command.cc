#include "annotate/asr_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/subprocess.h"
#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"

namespace ppx::annotate {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kMaxTranscriptBytes = size_t{64} << 20;
constexpr size_t kMaxEntryBytes = 2 * kMaxTranscriptBytes;
constexpr size_t kShownErrorBytes = 400;
constexpr std::string_view kWav = "{wav}";
constexpr std::string_view kJson = "{json}";

std::string Digest(const std::string& text) {
  return base::Sha256Hex(std::as_bytes(std::span(text)));
}

bool Mentions(const std::vector<std::string>& command, std::string_view placeholder) {
  return std::any_of(command.begin() + 1, command.end(), [&](const std::string& argument) {
    return argument.find(placeholder) != std::string::npos;
  });
}

// In one pass, so that a path which looks like a placeholder stays as it is.
std::string Filled(std::string_view argument, const std::string& wav, const std::string& json) {
  std::string filled;
  while (!argument.empty()) {
    if (argument.starts_with(kWav)) {
      filled += wav;
      argument.remove_prefix(kWav.size());
    } else if (argument.starts_with(kJson)) {
      filled += json;
      argument.remove_prefix(kJson.size());
    } else {
      filled += argument.front();
      argument.remove_prefix(1);
    }
  }
  return filled;
}

bool IsProgram(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

// Where execvp finds `name`.
std::string FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (IsProgram(name)) return name;
    base::ThrowUsage(name +
                     ": the speech recogniser is no program that can be run; look at the "
                     "path and its permissions");
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
  base::ThrowUsage(
      fmt::format("{}: the speech recogniser is not in PATH; give the path of the "
                  "program",
                  name));
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

AsrIdentity Identify(const std::vector<std::string>& command, const std::string& program) {
  Json facts = Json::array({kFormat, Digest(command.front()), base::Sha256File(program)});
  std::vector<std::string> quoted{Quoted(command.front())};
  for (size_t i = 1; i < command.size(); ++i) {
    quoted.push_back(Quoted(command[i]));
    // As a digest: arguments need not be UTF-8, as JSON must.
    facts.push_back(Digest(command[i]));
    std::error_code ignored;
    const bool file = fs::is_regular_file(command[i], ignored);
    facts.push_back(file ? Json(base::Sha256File(command[i])) : Json());
  }
  return {fs::path(command.front()).filename().string(), fmt::format("{}", fmt::join(quoted, " ")),
          Digest(facts.dump())};
}

// A folder for the transcript that the program writes.
class WorkFolder {
 public:
  WorkFolder() {
    std::error_code error;
    const fs::path temporary = fs::temp_directory_path(error);
    std::string pattern = (temporary / "ppx-asr-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) {
      base::ThrowResource(
          fmt::format("{}: cannot make a folder for transcripts ({}); set TMPDIR to "
                      "a folder that you may write to",
                      pattern, error ? error.message() : base::ErrnoText(errno)));
    }
    path_ = pattern;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  std::string File(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

// The end of standard error as one line, to be put after a message.
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
    tail = "... " + tail.substr(cut);
  }
  tail.erase(0, std::min(tail.find_first_not_of(' '), tail.size()));
  return tail.empty() ? "; it wrote nothing to standard error" : "; it wrote: " + tail;
}

// What went wrong with a run that was not cancelled; empty where nothing did.
std::string FailureOf(const base::SubprocessResult& result, double timeout_s) {
  switch (result.end) {
    case base::SubprocessEnd::kTimeout:
      return fmt::format("took longer than {} s and was stopped", timeout_s);
    case base::SubprocessEnd::kTooMuchOutput:
      return "printed more than a transcript can be long and was stopped";
    case base::SubprocessEnd::kSignalled:
      return fmt::format("was ended by signal {}", result.code);
    case base::SubprocessEnd::kCancelled:
    case base::SubprocessEnd::kExited:
      break;
  }
  return result.code == 0 ? "" : fmt::format("ended with exit code {}", result.code);
}

Json EntryOf(const std::string& key, const Transcript& transcript, const AsrIdentity& identity) {
  const std::string text = ToJson(transcript);
  return {{"format", kFormat},
          {"key", key},
          {"command", identity.command},
          {"transcript", text},
          {"sha256", Digest(text)}};
}

// No value for an entry that is missing or damaged.
std::optional<Transcript> ReadEntry(const fs::path& path, const std::string& key) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return std::nullopt;
  try {
    const Json entry =
        Json::parse(base::ReadSmallFile(path.string(), kMaxEntryBytes, "a cached transcript"));
    const auto text = entry.at("transcript").get<std::string>();
    if (entry.at("format") != kFormat || entry.at("key") != key ||
        entry.at("sha256") != Digest(text)) {
      return std::nullopt;
    }
    return ParseTranscript(text, path.string());
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

}  // namespace

AsrCommand::AsrCommand(const AsrOptions& options) : options_(options) {
  const std::vector<std::string>& command = options_.command;
  if (command.empty() || command.front().empty()) {
    base::ThrowUsage("the speech recogniser's command is empty; give a program and its arguments");
  }
  if (!Mentions(command, kWav)) {
    base::ThrowUsage(fmt::format(
        "{}: the speech recogniser's arguments have no {}, where the recording's path belongs",
        command.front(), kWav));
  }
  if (!(options_.timeout_s > 0)) {
    base::ThrowUsage("the speech recogniser's time-out must be above 0 seconds");
  }
  writes_file_ = Mentions(command, kJson);
  identity_ = Identify(command, FindProgram(command.front()));
  if (options_.cache_folder.empty()) return;
  std::error_code error;
  fs::create_directories(options_.cache_folder, error);
  if (error || !fs::is_directory(options_.cache_folder, error)) {
    base::ThrowUsage(
        fmt::format("{}: cannot make the folder for transcripts{}; name one that you "
                    "may write to",
                    options_.cache_folder, error ? ": " + error.message() : ""));
  }
}

Transcript AsrCommand::Transcribe(const std::string& wav_path,
                                  const std::atomic<bool>* cancel) const {
  const std::string wav_digest = base::Sha256File(wav_path, cancel);
  if (options_.cache_folder.empty()) return Run(wav_path, cancel);
  const std::string key = Digest(wav_digest + identity_.sha256);
  const fs::path folder = fs::path(options_.cache_folder) / "asr" / key.substr(0, 2);
  const fs::path path = folder / (key + ".json");
  if (auto cached = ReadEntry(path, key)) return *std::move(cached);
  Transcript transcript = Run(wav_path, cancel);
  // A cache that cannot be written costs time, nothing else.
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  try {
    const Json entry = EntryOf(key, transcript, identity_);
    base::WriteFileAtomically(path.string(),
                              entry.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } catch (const base::Error&) {
    return transcript;
  }
  return transcript;
}

Transcript AsrCommand::Run(const std::string& wav_path, const std::atomic<bool>* cancel) const {
  std::optional<WorkFolder> work;
  std::string json_path;
  if (writes_file_) json_path = work.emplace().File("transcript.json");
  // Absolute, so that no path can be taken for an option.
  const std::string wav = fs::absolute(wav_path).string();
  std::vector<std::string> argv{options_.command.front()};
  for (size_t i = 1; i < options_.command.size(); ++i) {
    argv.push_back(Filled(options_.command[i], wav, json_path));
  }
  base::SubprocessLimits limits;
  limits.timeout_s = options_.timeout_s;
  limits.max_output_bytes = writes_file_ ? 0 : kMaxTranscriptBytes;
  limits.cancel = cancel;
  const base::SubprocessResult result = base::RunSubprocess(argv, limits);
  if (result.end == base::SubprocessEnd::kCancelled) {
    throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
  }
  std::string failure = FailureOf(result, options_.timeout_s);
  if (failure.empty()) {
    try {
      return writes_file_ ? ReadTranscript(json_path)
                          : ParseTranscript(result.output, "standard output");
    } catch (const base::Error& error) {
      failure = fmt::format("gave no transcript ({})", error.what());
    }
  }
  base::ThrowBadInput(
      fmt::format("{}: {} {}{}", wav_path, identity_.name, failure, Complaint(result.error_tail)));
}

}  // namespace ppx::annotate
