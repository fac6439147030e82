// lib/batch/journal.h: what has been done, written down so that it survives the writer.
//
// A journal is a file of JSON lines. Each line has two keys:
//   {"sha256":"0123456789abcdef","entry":{"type":"done",...}}
// the first 16 hexadecimal digits of SHA-256 over the exact bytes of the entry, and the entry. A
// line that does not fit its checksum says nothing. Entries, by "type":
//   run     free: what the program says of itself when it starts
//   done    seq, id, key, files: [{path, sha256, bytes}], audio_s, slots, details
//   failed  seq, id, key, error, code
//   redo    seq, id: the files of earlier `done` entries may be gone from now on
// `seq` grows: of two entries about one dialogue the one with the greater number is the later,
// though they lie in the journals of different shards.
//
// Journals are named journal.jsonl, or journal.I-of-N.jsonl where N is not 1.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "batch/renderer.h"
#include "batch/shard.h"

namespace ppx::batch {

struct DoneEntry {
  std::string id;
  std::string key;
  std::vector<WrittenFile> files;
  double audio_s = 0;
  int slots = 0;  // the renderer's capacity when it was made
  std::string details = "{}";
};

struct FailedEntry {
  std::string id;
  std::string key;
  std::string error;
  base::ErrorCode code = base::ErrorCode::kInternal;
};

// "bad_input" and the like, as journals and summaries write them.
const char* CodeName(base::ErrorCode code);
std::optional<base::ErrorCode> CodeOfName(std::string_view name);

std::string JournalName(const Shard& shard);
bool IsJournalName(std::string_view file_name);

// The text of an entry; `seq` is 0 or more. A `run` entry's `facts` is a JSON object.
std::string RunText(int64_t seq, const std::string& facts);
std::string DoneText(int64_t seq, const DoneEntry& entry);
std::string FailedText(int64_t seq, const FailedEntry& entry);
std::string RedoText(int64_t seq, std::string_view id);

// The line, with its newline, of an entry's text, and back: the entry's text, which points into
// `line` (given without newline); no value where the checksum does not fit.
std::string JournalLine(std::string_view entry_text);
std::optional<std::string_view> EntryTextOf(std::string_view line);

// Appends to one journal. Thread-safe. Each call returns once its line is on the disk.
//
// Throws base::Error: kUsage where the file cannot be opened for writing, kResource where the disk
// is full or failing (what was written of the line is cut off again), kInternal for texts that are
// not JSON objects.
//
// Does not lock: whoever appends holds the StateLock of the shard.
class JournalWriter {
 public:
  // Makes the file where it is missing. Cuts off what a killed writer left: a last line without
  // newline or with a bad checksum. `next_seq` is the ledger's (ledger.h), read before.
  JournalWriter(const std::string& path, int64_t next_seq);
  ~JournalWriter();
  JournalWriter(const JournalWriter&) = delete;
  JournalWriter& operator=(const JournalWriter&) = delete;

  void Run(const std::string& facts);
  void Done(const DoneEntry& entry);
  void Failed(const FailedEntry& entry);
  // One line each, on the disk together.
  void Redo(std::span<const std::string> ids);

  // Bytes that the constructor cut off.
  int64_t cut_bytes() const { return cut_bytes_; }
  const std::string& path() const { return path_; }

 private:
  void CutTornLine();
  void Append(const std::string& lines);  // under mutex_
  [[noreturn]] void Fail(const char* action, int error_number) const;

  std::string path_;
  int fd_ = -1;
  int64_t cut_bytes_ = 0;
  std::mutex mutex_;
  int64_t next_seq_;
  bool broken_ = false;  // ends in a part of a line that could not be cut off
};

}  // namespace ppx::batch
