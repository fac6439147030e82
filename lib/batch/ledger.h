// lib/batch/ledger.h: what all journals of a state folder say together.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch/journal.h"

namespace ppx::batch {

// What is known of one dialogue. Of several entries the one with the greatest `seq` counts.
struct LedgerRecord {
  std::optional<DoneEntry> done;
  int64_t done_seq = -1;
  std::optional<FailedEntry> failed;
  int64_t failed_seq = -1;
  int64_t redo_seq = -1;
};

// Reading never fails because of what a journal holds: a line that was cut short by a kill or
// damaged on the disk says nothing. Damage is counted and told, because a lost line can make an
// older one look like the last word: `damaged()` asks the reader to check contents (todo.h does).
// Const after reading; then safe to use from several threads.
class Ledger {
 public:
  Ledger() = default;

  // All journals of the folder; an empty ledger where there is none. Throws base::Error (kResource)
  // where a file that is there cannot be read.
  static Ledger Read(const std::string& state_folder);

  // One journal's bytes; `path` is for messages.
  void Add(std::string_view bytes, const std::string& path);

  // The dialogue's last `done` entry, unless a `redo` came later; null where there is none. Its key
  // may be an old one. The pointers live as long as the ledger.
  const DoneEntry* Done(const std::string& id) const;
  // Its last failure, unless it was done later.
  const FailedEntry* Failed(const std::string& id) const;

  // By id, in the order of their bytes.
  const std::map<std::string, LedgerRecord>& records() const { return records_; }
  // Texts of the `run` entries, ordered by `seq`, then by journal.
  std::vector<std::string> Runs() const;

  // Greater than every `seq` that was read.
  int64_t next_seq() const { return next_seq_; }
  // The renderer's capacity of the dialogue that was done last.
  std::optional<int> last_capacity() const { return last_capacity_; }

  bool damaged() const { return damaged_lines_ > 0; }
  int64_t damaged_lines() const { return damaged_lines_; }
  // "journal.jsonl:12: ...", the first 20.
  const std::vector<std::string>& damage() const { return damage_; }
  // Last lines without newline: a writer was killed, or is at it.
  int64_t torn_lines() const { return torn_lines_; }
  // The journals that were read, sorted.
  const std::vector<std::string>& paths() const { return paths_; }

 private:
  void AddLine(std::string_view line, const std::string& path, int64_t number);
  // False where the text is not an entry.
  bool AddEntry(std::string_view text);

  std::map<std::string, LedgerRecord> records_;
  std::multimap<int64_t, std::string> runs_;
  int64_t next_seq_ = 0;
  int64_t capacity_seq_ = -1;
  std::optional<int> last_capacity_;
  int64_t damaged_lines_ = 0;
  int64_t torn_lines_ = 0;
  std::vector<std::string> damage_;
  std::vector<std::string> paths_;
};

}  // namespace ppx::batch
