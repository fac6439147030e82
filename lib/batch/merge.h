// lib/batch/merge.h: the journals of all shards into one, and what the plan still lacks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "batch/ledger.h"
#include "batch/plan.h"

namespace ppx::batch {

struct Gap {
  std::string id;
  std::string reason;  // "not done", "failed: in.wav: no samples", "done with other settings"
};

struct MergeReport {
  int64_t journals = 0;  // read, of all folders
  int64_t planned = 0;
  int64_t done = 0;         // of the planned, under their keys
  int64_t not_in_plan = 0;  // done, but not of this plan
  std::vector<Gap> gaps;    // planned and not done, in the plan's order
  std::vector<std::string> damage;
};

// What the plan lacks. `journals` and `damage` are the ledger's.
MergeReport FindGaps(const Plan& plan, const Ledger& ledger);

// Joins the journals of `state_folder` and of `other_state_folders` (copies from other machines)
// into journal.jsonl of `state_folder`: written whole beside, synced and renamed, then the shards'
// journals of `state_folder` are removed. The other folders are only read. Every dialogue keeps its
// last word: where folders disagree, the one under the plan's key, then the one with the greater
// `seq`, then the first folder's. Run headers are kept. Damaged lines are not: where the report
// tells of any, check the files' contents afterwards (verify.h). A merge that is killed is repeated
// by the next one.
//
// The caller holds the StateLock of shard 1/1 of `state_folder`. Files of dialogues are not looked
// at: see verify.h. Throws base::Error: kBadInput where a folder has no journal, kUsage and
// kResource as base/atomic_file.h.
MergeReport Merge(const std::string& state_folder, std::span<const std::string> other_state_folders,
                  const Plan& plan);

}  // namespace ppx::batch
