#include "batch/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/digest.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::string_view kLineStart = R"({"sha256":")";
constexpr std::string_view kLineMiddle = R"(","entry":)";
constexpr std::string_view kLineEnd = "}";
constexpr size_t kChecksumDigits = 16;

constexpr std::array<std::pair<base::ErrorCode, const char*>, 6> kCodeNames = {
    {{base::ErrorCode::kUsage, "usage"},
     {base::ErrorCode::kBadInput, "bad_input"},
     {base::ErrorCode::kResource, "resource"},
     {base::ErrorCode::kOutOfMemory, "out_of_memory"},
     {base::ErrorCode::kInternal, "internal"},
     {base::ErrorCode::kInterrupted, "interrupted"}}};

std::string Checksum(std::string_view entry_text) {
  return base::Sha256Hex(std::as_bytes(std::span(entry_text))).substr(0, kChecksumDigits);
}

// Texts of errors may hold bytes of a damaged file.
std::string Dump(const ordered_json& entry) {
  return entry.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json ObjectOf(const std::string& text, const char* what) {
  ordered_json object = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) base::ThrowInternal(fmt::format("{} is no JSON object: {}", what, text));
  return object;
}

bool IsWhole(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

const char* CodeName(base::ErrorCode code) {
  const auto found = std::find_if(kCodeNames.begin(), kCodeNames.end(),
                                  [&](const auto& pair) { return pair.first == code; });
  return found == kCodeNames.end() ? "internal" : found->second;
}

std::optional<base::ErrorCode> CodeOfName(std::string_view name) {
  for (const auto& [code, known] : kCodeNames) {
    if (name == known) return code;
  }
  return std::nullopt;
}

std::string JournalName(const Shard& shard) {
  return shard.count == 1 ? "journal.jsonl"
                          : fmt::format("journal.{}-of-{}.jsonl", shard.index, shard.count);
}

bool IsJournalName(std::string_view file_name) {
  constexpr std::string_view kStart = "journal.";
  constexpr std::string_view kEnd = ".jsonl";
  constexpr std::string_view kOf = "-of-";
  if (file_name == "journal.jsonl") return true;
  if (file_name.size() < kStart.size() + kEnd.size() || !file_name.starts_with(kStart) ||
      !file_name.ends_with(kEnd)) {
    return false;
  }
  file_name.remove_prefix(kStart.size());
  file_name.remove_suffix(kEnd.size());
  const size_t of = file_name.find(kOf);
  return of != std::string_view::npos && IsWhole(file_name.substr(0, of)) &&
         IsWhole(file_name.substr(of + kOf.size()));
}

std::string RunText(int64_t seq, const std::string& facts) {
  ordered_json entry = {{"type", "run"}, {"seq", seq}};
  entry.update(ObjectOf(facts, "a run's description"));
  entry["type"] = "run";  // whatever the facts say
  entry["seq"] = seq;
  return Dump(entry);
}

std::string DoneText(int64_t seq, const DoneEntry& entry) {
  ordered_json files = ordered_json::array();
  for (const WrittenFile& file : entry.files) {
    files.push_back({{"path", file.path}, {"sha256", file.sha256}, {"bytes", file.bytes}});
  }
  return Dump({{"type", "done"},
               {"seq", seq},
               {"id", entry.id},
               {"key", entry.key},
               {"files", std::move(files)},
               {"audio_s", entry.audio_s},
               {"slots", entry.slots},
               {"details", ObjectOf(entry.details, "a dialogue's details")}});
}

std::string FailedText(int64_t seq, const FailedEntry& entry) {
  return Dump({{"type", "failed"},
               {"seq", seq},
               {"id", entry.id},
               {"key", entry.key},
               {"error", entry.error},
               {"code", CodeName(entry.code)}});
}

std::string RedoText(int64_t seq, std::string_view id) {
  return Dump({{"type", "redo"}, {"seq", seq}, {"id", std::string(id)}});
}

std::string JournalLine(std::string_view entry_text) {
  return fmt::format("{}{}{}{}{}\n", kLineStart, Checksum(entry_text), kLineMiddle, entry_text,
                     kLineEnd);
}

std::optional<std::string_view> EntryTextOf(std::string_view line) {
  if (!line.starts_with(kLineStart)) return std::nullopt;
  line.remove_prefix(kLineStart.size());
  const std::string_view checksum = line.substr(0, kChecksumDigits);
  if (checksum.size() < kChecksumDigits) return std::nullopt;
  line.remove_prefix(kChecksumDigits);
  if (!line.starts_with(kLineMiddle)) return std::nullopt;
  line.remove_prefix(kLineMiddle.size());
  if (!line.ends_with(kLineEnd)) return std::nullopt;
  line.remove_suffix(kLineEnd.size());
  if (Checksum(line) != checksum) return std::nullopt;
  return line;
}

JournalWriter::JournalWriter(const std::string& path, int64_t next_seq)
    : path_(path), next_seq_(next_seq) {
  do {
    fd_ = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EINTR);
  if (fd_ < 0) Fail("open", errno);
  try {
    CutTornLine();
    const fs::path folder = fs::path(path).parent_path();
    const int folder_fd =
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd >= 0) {  // a folder may allow writing but not reading
      ::fsync(folder_fd);
      ::close(folder_fd);
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

JournalWriter::~JournalWriter() { ::close(fd_); }

void JournalWriter::Run(const std::string& facts) {
  const std::lock_guard lock(mutex_);
  Append(JournalLine(RunText(next_seq_, facts)));
}

void JournalWriter::Done(const DoneEntry& entry) {
  const std::lock_guard lock(mutex_);
  Append(JournalLine(DoneText(next_seq_, entry)));
}

void JournalWriter::Failed(const FailedEntry& entry) {
  const std::lock_guard lock(mutex_);
  Append(JournalLine(FailedText(next_seq_, entry)));
}

void JournalWriter::Redo(std::span<const std::string> ids) {
  if (ids.empty()) return;
  const std::lock_guard lock(mutex_);
  std::string lines;
  for (const std::string& id : ids) lines += JournalLine(RedoText(next_seq_, id));
  Append(lines);
}

void JournalWriter::CutTornLine() {
  struct stat status = {};
  if (::fstat(fd_, &status) != 0) Fail("read", errno);
  const int64_t size = status.st_size;
  if (size == 0) return;
  // The last line, read backwards in growing pieces until its start is in sight.
  std::string tail;
  size_t start = std::string::npos;
  for (int64_t want = int64_t{1} << 16; start == std::string::npos; want *= 2) {
    const int64_t length = std::min(size, want);
    tail.resize(static_cast<size_t>(length));
    size_t got = 0;
    while (got < tail.size()) {
      const ssize_t count = ::pread(fd_, tail.data() + got, tail.size() - got,
                                    static_cast<off_t>(size - length) + static_cast<off_t>(got));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) Fail("read", errno);
      if (count == 0) Fail("read", EIO);
      got += static_cast<size_t>(count);
    }
    const size_t before = tail.size() < 2 ? std::string::npos : tail.rfind('\n', tail.size() - 2);
    if (before != std::string::npos) {
      start = before + 1;
    } else if (length == size) {
      start = 0;
    }
  }
  const std::string_view line = std::string_view(tail).substr(start);
  if (line.ends_with('\n') && EntryTextOf(line.substr(0, line.size() - 1))) return;
  cut_bytes_ = static_cast<int64_t>(line.size());
  if (::ftruncate(fd_, static_cast<off_t>(size - cut_bytes_)) != 0 || ::fsync(fd_) != 0) {
    Fail("cut the torn last line of", errno);
  }
}

void JournalWriter::Append(const std::string& lines) {
  if (broken_) Fail("append to", EIO);
  ++next_seq_;
  const off_t before = ::lseek(fd_, 0, SEEK_END);
  if (before < 0) Fail("append to", errno);
  ssize_t written = -1;
  do {
    written = ::write(fd_, lines.data(), lines.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(lines.size())) {
    if (::fdatasync(fd_) == 0 || errno == EINVAL || errno == ENOTSUP) return;
    // The line may be on the disk or not; nothing more is said after it.
    broken_ = true;
    Fail("write", errno);
  }
  const int error = written < 0 ? errno : ENOSPC;  // a short write: the disk is full
  if (written > 0 && ::ftruncate(fd_, before) != 0) broken_ = true;
  Fail("append to", error);
}

void JournalWriter::Fail(const char* action, int error_number) const {
  const std::string what =
      fmt::format("{}: cannot {} the journal: {}", path_, action, base::ErrnoText(error_number));
  switch (error_number) {
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
      base::ThrowUsage(what + "; choose an output folder that you may write to");
    case ENOSPC:
    case EDQUOT:
      base::ThrowResource(what + "; free some space and start again: what is done stays done");
    default:
      base::ThrowResource(what + "; check the disk");
  }
}

}  // namespace ppx::batch
