#include "annotate/asr_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"
#include "base/subprocess.h"

namespace ppx::annotate {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kMaxTranscriptBytes = size_t{64} << 20;
constexpr size_t kMaxEntryBytes = 2 * kMaxTranscriptBytes;

std::string Digest(const std::string& text) {
  return base::Sha256Hex(std::as_bytes(std::span(text)));
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

AsrCommand::AsrCommand(const AsrOptions& options)
    : options_(options), command_(options.command, "the speech recogniser") {
  if (!command_.Mentions("wav")) {
    base::ThrowUsage(fmt::format(
        "{}: the speech recogniser's arguments have no {{wav}}, where the recording's path belongs",
        options_.command.front()));
  }
  if (!(options_.timeout_s > 0)) {
    base::ThrowUsage("the speech recogniser's time-out must be above 0 seconds");
  }
  writes_file_ = command_.Mentions("json");
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
  const std::string key = Digest(wav_digest + identity().sha256);
  const fs::path folder = fs::path(options_.cache_folder) / "asr" / key.substr(0, 2);
  const fs::path path = folder / (key + ".json");
  if (auto cached = ReadEntry(path, key)) return *std::move(cached);
  Transcript transcript = Run(wav_path, cancel);
  // A cache that cannot be written costs time, nothing else.
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  try {
    const Json entry = EntryOf(key, transcript, identity());
    base::WriteFileAtomically(path.string(),
                              entry.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } catch (const base::Error&) {
    return transcript;
  }
  return transcript;
}

Transcript AsrCommand::Run(const std::string& wav_path, const std::atomic<bool>* cancel) const {
  std::optional<base::WorkFolder> work;
  std::string json_path;
  if (writes_file_) json_path = work.emplace().File("transcript.json");
  // Absolute, so that no path can be taken for an option.
  const std::string wav = fs::absolute(wav_path).string();
  const auto argv = command_.Filled({{"wav", wav}, {"json", json_path}});
  base::SubprocessLimits limits;
  limits.timeout_s = options_.timeout_s;
  limits.max_output_bytes = writes_file_ ? 0 : kMaxTranscriptBytes;
  limits.cancel = cancel;
  const base::SubprocessResult result = base::RunSubprocess(argv, limits);
  if (result.end == base::SubprocessEnd::kCancelled) {
    throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
  }
  std::string failure = base::FailureOf(result, options_.timeout_s, "a transcript");
  if (failure.empty()) {
    try {
      return writes_file_ ? ReadTranscript(json_path)
                          : ParseTranscript(result.output, "standard output");
    } catch (const base::Error& error) {
      failure = fmt::format("gave no transcript ({})", error.what());
    }
  }
  base::ThrowBadInput(fmt::format("{}: {} {}{}", wav_path, identity().name, failure,
                                  base::Complaint(result.error_tail)));
}

}  // namespace ppx::annotate
