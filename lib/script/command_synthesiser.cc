#include "script/command_synthesiser.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <system_error>
#include <thread>

#include "audio/wav_reader.h"
#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"
#include "base/subprocess.h"

namespace ppx::script {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kMaxSpeechBytes = size_t{1} << 30;
constexpr size_t kMaxEntryBytes = size_t{1} << 20;
constexpr auto kLookAgain = std::chrono::milliseconds(50);

std::string Digest(const std::string& text) {
  return base::Sha256Hex(std::as_bytes(std::span(text)));
}

void CheckCancelled(const std::atomic<bool>* cancel) {
  if (cancel != nullptr && cancel->load()) {
    throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
  }
}

// One key of the cache for one thread of one process, from construction to destruction: a byte of
// the lock file, under an open file description lock. Where there are no locks nobody waits, and a
// text may be spoken twice.
class KeyLock {
 public:
  KeyLock(const std::string& path, const std::string& key, const std::atomic<bool>* cancel)
      : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    if (fd_ < 0) return;
    struct flock range = {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = std::stol(key.substr(0, 12), nullptr, 16);
    range.l_len = 1;
    while (::fcntl(fd_, F_OFD_SETLK, &range) != 0 && (errno == EAGAIN || errno == EACCES)) {
      if (cancel != nullptr && cancel->load()) return;
      std::this_thread::sleep_for(kLookAgain);
    }
  }
  ~KeyLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  KeyLock(const KeyLock&) = delete;
  KeyLock& operator=(const KeyLock&) = delete;

 private:
  int fd_;
};

// No value for an entry that is missing or damaged.
std::optional<base::Audio> ReadEntry(const fs::path& wav, const fs::path& facts,
                                     const std::string& key) {
  std::error_code ignored;
  if (!fs::is_regular_file(wav, ignored) || !fs::is_regular_file(facts, ignored)) {
    return std::nullopt;
  }
  try {
    const Json entry =
        Json::parse(base::ReadSmallFile(facts.string(), kMaxEntryBytes, "an entry of the cache"));
    if (entry.at("format") != kFormat || entry.at("key") != key ||
        entry.at("sha256") != base::Sha256File(wav.string())) {
      return std::nullopt;
    }
    return audio::ReadAudio(wav.string());
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

}  // namespace

CommandSynthesiser::CommandSynthesiser(const SynthesiserOptions& options)
    : options_(options), command_(options.command, "the speech synthesiser") {
  for (const char* place : {"text", "wav"}) {
    if (command_.Mentions(place)) continue;
    base::ThrowUsage(fmt::format(
        "{}: the speech synthesiser's arguments have no {{{}}}; it needs {{text}} where the text "
        "belongs, and {{wav}} for the file that it is to write",
        options_.command.front(), place));
  }
  if (!(options_.timeout_s > 0)) {
    base::ThrowUsage("the speech synthesiser's time-out must be above 0 seconds");
  }
  if (options_.cache_folder.empty()) return;
  std::error_code error;
  fs::create_directories(options_.cache_folder, error);
  if (error || !fs::is_directory(options_.cache_folder, error)) {
    base::ThrowUsage(
        fmt::format("{}: cannot make the folder for speech{}; name one that you may write to",
                    options_.cache_folder, error ? ": " + error.message() : ""));
  }
}

base::Audio CommandSynthesiser::Speak(const std::string& text,
                                      const std::map<std::string, std::string>& options) const {
  std::map<std::string, std::string> filled = options;
  if (command_.Mentions("voice") && !filled.contains("voice")) {
    if (options_.default_voice.empty()) {
      base::ThrowUsage(
          fmt::format("{} is to be told a {{voice}}, and neither the clip nor the "
                      "command line names one",
                      command().name));
    }
    filled["voice"] = options_.default_voice;
  }
  Json facts = Json::array({kFormat, identity(), Digest(text)});
  for (const auto& [name, value] : filled) {
    if (!command_.Mentions(name)) {
      base::ThrowUsage(
          fmt::format("the clip gives '{0}', but the synthesiser's command has no "
                      "place {{{0}}} for it: {1}",
                      name, command().command));
    }
    facts.push_back({Digest(name), Digest(value)});
  }
  if (options_.cache_folder.empty()) return Run(text, filled, nullptr);
  return Cached(text, filled, Digest(facts.dump()));
}

base::Audio CommandSynthesiser::Cached(const std::string& text,
                                       const std::map<std::string, std::string>& options,
                                       const std::string& key) const {
  const fs::path cache = fs::path(options_.cache_folder) / "tts";
  const fs::path folder = cache / key.substr(0, 2);
  const fs::path wav = folder / (key + ".wav");
  const fs::path facts = folder / (key + ".json");
  // A cache that cannot be written costs time, nothing else.
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  const KeyLock lock((cache / "lock").string(), key, options_.cancel);
  CheckCancelled(options_.cancel);
  if (auto cached = ReadEntry(wav, facts, key)) return *std::move(cached);

  std::string bytes;
  base::Audio speech = Run(text, options, &bytes);
  try {
    const Json entry = {{"format", kFormat}, {"key", key},         {"command", command().command},
                        {"text", text},      {"options", options}, {"sha256", Digest(bytes)}};
    base::WriteFileAtomically(wav.string(), bytes);
    base::WriteFileAtomically(facts.string(),
                              entry.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } catch (const base::Error&) {
    return speech;
  }
  return speech;
}

base::Audio CommandSynthesiser::Run(const std::string& text,
                                    const std::map<std::string, std::string>& options,
                                    std::string* bytes) const {
  const base::WorkFolder work;
  const std::string wav = work.File("speech.wav");
  std::map<std::string, std::string> values = options;
  values["text"] = text;
  values["wav"] = wav;
  base::SubprocessLimits limits;
  limits.timeout_s = options_.timeout_s;
  limits.cancel = options_.cancel;
  const base::SubprocessResult result = base::RunSubprocess(command_.Filled(values), limits);
  if (result.end == base::SubprocessEnd::kCancelled) {
    throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
  }
  std::string failure = base::FailureOf(result, options_.timeout_s, "speech");
  if (failure.empty()) {
    try {
      base::Audio speech = audio::ReadAudio(wav);
      if (bytes != nullptr) *bytes = base::ReadSmallFile(wav, kMaxSpeechBytes, "speech");
      return speech;
    } catch (const base::Error& error) {
      failure = fmt::format("gave no speech ({})", error.what());
    }
  }
  base::ThrowBadInput(fmt::format("{} {} on the text '{}'{}", command().name, failure, text,
                                  base::Complaint(result.error_tail)));
}

}  // namespace ppx::script
