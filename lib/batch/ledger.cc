#include "batch/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kToldDamage = 20;

std::optional<std::string> TextAt(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<int64_t> WholeAt(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  const auto value = found->get<int64_t>();
  if (value < 0) return std::nullopt;  // also an unsigned number beyond the range
  return value;
}

std::optional<DoneEntry> ReadDone(const json& object, std::string id, std::string key) {
  DoneEntry entry;
  entry.id = std::move(id);
  entry.key = std::move(key);
  const auto files = object.find("files");
  const auto audio = object.find("audio_s");
  const auto details = object.find("details");
  const std::optional<int64_t> slots = WholeAt(object, "slots");
  if (files == object.end() || !files->is_array() || audio == object.end() || !audio->is_number() ||
      details == object.end() || !details->is_object() || !slots ||
      *slots > std::numeric_limits<int>::max()) {
    return std::nullopt;
  }
  entry.audio_s = audio->get<double>();
  entry.slots = static_cast<int>(*slots);
  entry.details = details->dump();
  for (const json& file : *files) {
    if (!file.is_object()) return std::nullopt;
    const auto path = TextAt(file, "path");
    const auto sha256 = TextAt(file, "sha256");
    const auto bytes = WholeAt(file, "bytes");
    if (!path || path->empty() || !sha256 || !bytes) return std::nullopt;
    entry.files.push_back({*path, *sha256, *bytes});
  }
  return entry;
}

}  // namespace

Ledger Ledger::Read(const std::string& state_folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(state_folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (IsJournalName(entry->path().filename().string())) paths.push_back(entry->path().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    base::ThrowResource(
        fmt::format("{}: cannot list the journals: {}; check the folder's permissions and the disk",
                    state_folder, error.message()));
  }
  std::sort(paths.begin(), paths.end());
  Ledger ledger;
  for (const std::string& path : paths) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes;
    // Line by line: a journal of many runs need not fit in memory twice.
    for (int64_t number = 1; std::getline(file, bytes); ++number) {
      if (file.eof()) {
        ++ledger.torn_lines_;
      } else {
        ledger.AddLine(bytes, path, number);
      }
    }
    if (file.bad() || !file.eof()) {
      base::ThrowResource(
          fmt::format("{}: cannot read the journal: {}; check its permissions and "
                      "the disk",
                      path, base::ErrnoText(errno)));
    }
    ledger.paths_.push_back(path);
  }
  return ledger;
}

void Ledger::Add(std::string_view bytes, const std::string& path) {
  int64_t number = 1;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      ++torn_lines_;
      break;
    }
    AddLine(bytes.substr(0, end), path, number++);
    bytes.remove_prefix(end + 1);
  }
  paths_.push_back(path);
}

void Ledger::AddLine(std::string_view line, const std::string& path, int64_t number) {
  const std::optional<std::string_view> text = EntryTextOf(line);
  if (text && AddEntry(*text)) return;
  ++damaged_lines_;
  if (damage_.size() < kToldDamage) {
    damage_.push_back(
        fmt::format("{}:{}: {}; the line is left out", path, number,
                    text ? "no entry that this version knows" : "does not fit its checksum"));
  }
}

bool Ledger::AddEntry(std::string_view text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return false;
  const std::optional<std::string> type = TextAt(object, "type");
  const std::optional<int64_t> seq = WholeAt(object, "seq");
  if (!type || !seq || *seq == std::numeric_limits<int64_t>::max()) return false;
  if (*type == "run") {
    runs_.emplace(*seq, text);
    next_seq_ = std::max(next_seq_, *seq + 1);
    return true;
  }
  std::optional<std::string> id = TextAt(object, "id");
  if (!id || id->empty()) return false;
  if (*type == "redo") {
    LedgerRecord& record = records_[*id];
    record.redo_seq = std::max(record.redo_seq, *seq);
  } else {
    std::optional<std::string> key = TextAt(object, "key");
    if (!key) return false;
    if (*type == "done") {
      std::optional<DoneEntry> entry = ReadDone(object, *id, *key);
      if (!entry) return false;
      if (*seq >= capacity_seq_) {
        capacity_seq_ = *seq;
        last_capacity_ = entry->slots;
      }
      LedgerRecord& record = records_[*id];
      if (*seq >= record.done_seq) {
        record.done = std::move(entry);
        record.done_seq = *seq;
      }
    } else if (*type == "failed") {
      const std::optional<std::string> error = TextAt(object, "error");
      const std::optional<std::string> code = TextAt(object, "code");
      const auto known = code ? CodeOfName(*code) : std::nullopt;
      if (!error || !known) return false;
      LedgerRecord& record = records_[*id];
      if (*seq >= record.failed_seq) {
        record.failed = FailedEntry{*id, *key, *error, *known};
        record.failed_seq = *seq;
      }
    } else {
      return false;
    }
  }
  next_seq_ = std::max(next_seq_, *seq + 1);
  return true;
}

const DoneEntry* Ledger::Done(const std::string& id) const {
  const auto found = records_.find(id);
  if (found == records_.end() || !found->second.done) return nullptr;
  const LedgerRecord& record = found->second;
  return record.done_seq > record.redo_seq ? &*record.done : nullptr;
}

const FailedEntry* Ledger::Failed(const std::string& id) const {
  const auto found = records_.find(id);
  if (found == records_.end() || !found->second.failed) return nullptr;
  const LedgerRecord& record = found->second;
  return record.failed_seq > record.done_seq ? &*record.failed : nullptr;
}

std::vector<std::string> Ledger::Runs() const {
  std::vector<std::string> texts;
  for (const auto& [seq, text] : runs_) texts.push_back(text);
  return texts;
}

}  // namespace ppx::batch
