// lib/batch/verify.h: the files of an output folder against its journals.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "batch/ledger.h"

namespace ppx::batch {

// What is wrong with a file of a `done` entry; no value where nothing is. The text says what and
// how to mend it. With `hash` the content is read, without only the size is looked at. Throws
// base::Error (kInterrupted) once `interrupt` is true.
std::optional<std::string> WrongWithFile(const std::string& output_folder, const WrittenFile& file,
                                         bool hash, const std::atomic<bool>* interrupt);

struct FileFinding {
  std::string id;
  std::string path;  // relative to the output folder
  std::string problem;
};

struct VerifyReport {
  int64_t dialogues = 0;
  int64_t files = 0;
  int64_t bytes = 0;                   // of the files that are what they should be
  std::vector<FileFinding> findings;   // in the order of the ids, then of the entry's files
  std::vector<std::string> left_over;  // temporary files of killed writers, relative, sorted
  std::vector<std::string> damage;     // damaged lines of the journals

  bool ok() const { return findings.empty() && left_over.empty() && damage.empty(); }
};

// Hashes every file of every `done` entry on `threads` threads (0: one a processor); the report
// does not depend on them. Left-overs are looked for in the whole output folder, not following
// links. Changes nothing. `progress` gets files, from this thread. Throws base::Error:
// kInterrupted.
//
// Does not know the plan: what is missing as a whole is merge.h's business.
VerifyReport Verify(const std::string& output_folder, const Ledger& ledger, int threads,
                    base::Progress& progress, const std::atomic<bool>* interrupt = nullptr);

}  // namespace ppx::batch
