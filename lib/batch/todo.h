// lib/batch/todo.h: what this process has to do of a plan.
#pragma once

#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "batch/ledger.h"
#include "batch/plan.h"
#include "batch/shard.h"

namespace ppx::batch {

enum class CheckFiles {
  kSize,  // a file is as it was written if it has the recorded size
  kHash   // ... and the recorded SHA-256: reads every file
};

struct TodoList {
  std::vector<size_t> todo;  // places in the plan, in its order
  // Of the others of this shard: done, and their seconds.
  size_t done = 0;
  double done_audio_s = 0;
  size_t other_shards = 0;
  // Why `todo`: together its size.
  size_t fresh = 0;          // never done, or begun again and not finished
  size_t failed_before = 0;  // failed the last time
  size_t old_key = 0;        // done, but of other inputs or settings
  size_t damaged = 0;        // done, but a file is missing or not what it was
  // The ids of the damaged ones. Hand them to JournalWriter::Redo before anything else, so that the
  // next run knows it too.
  std::vector<std::string> damaged_ids;
};

// A dialogue is done where the ledger's last word is `done` under the plan's key and every file is
// there, a regular file of the recorded size. With a damaged ledger contents are checked too,
// whatever `check` says: an older entry may only look like the last word.
//
// Reads the sizes one after the other; hashing runs on one thread a processor. Call it with the
// StateLock of the shard held and the ledger read after that. Throws base::Error: kInterrupted
// once `interrupt` is true.
TodoList Todo(const Plan& plan, const Ledger& ledger, const Shard& shard,
              const std::string& output_folder, CheckFiles check,
              const std::atomic<bool>* interrupt = nullptr);

// Removes the temporary files that killed writers left beside the outputs of these dialogues.
// Lists each folder once. Call it with the StateLock of their shard held. Throws base::Error as
// RemoveTemporaries of base/atomic_file.h.
void RemoveLeftOvers(const Plan& plan, std::span<const size_t> dialogues,
                     const std::string& output_folder);

}  // namespace ppx::batch
