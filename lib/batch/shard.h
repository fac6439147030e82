// lib/batch/shard.h: one process's share of a plan.
//
// A dialogue belongs to a shard by its id alone, not by its place in the plan: the first bits of
// SHA-256(id) are its position in [0, 2^62), and shard I of N owns the positions from
// floor((I-1) * 2^62 / N) up to floor(I * 2^62 / N). So shards of one N share nothing and leave
// nothing out, and shards of different N overlap in known ranges (see state_lock.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace ppx::batch {

struct Shard {
  int index = 1;  // from 1
  int count = 1;

  bool operator==(const Shard&) const = default;
};

constexpr int kMaxShards = 1'000'000;
constexpr uint64_t kPositions = uint64_t{1} << 62;

// Positions [begin, end).
struct PositionRange {
  uint64_t begin = 0;
  uint64_t end = 0;

  bool operator==(const PositionRange&) const = default;
};

uint64_t PositionOf(std::string_view id);
PositionRange RangeOf(const Shard& shard);
bool Owns(const Shard& shard, std::string_view id);

// "2/8". Throws base::Error (kUsage); `name` is where the text is from: "--shard".
Shard ParseShard(std::string_view text, const std::string& name);

// "2/8"
std::string ToText(const Shard& shard);

// The value of an environment variable; no value where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

struct FoundShard {
  Shard shard;
  std::string source;  // for the log: "SLURM_ARRAY_TASK_ID 5 of 4-7"
};

// The share that the scheduler of a cluster gave to this process; no value outside an array of
// jobs. Looked for in this order, the first that is there counts:
//  PPX_SHARD=I/N, I from 1
//  Slurm: SLURM_ARRAY_TASK_ID, with _MIN, _MAX, _STEP and _COUNT. Only arrays without gaps: of
//    1,4,5 nobody can tell which place 4 has
//  AWS Batch: AWS_BATCH_JOB_ARRAY_INDEX, from 0, with AWS_BATCH_JOB_ARRAY_SIZE or PPX_SHARD_COUNT
//  Kubernetes indexed jobs: JOB_COMPLETION_INDEX, from 0, with PPX_SHARD_COUNT: Kubernetes does not
//    tell a pod how many there are
// Empty variables count as not set. Throws base::Error (kUsage) for what does not fit together.
//
// Not seen: an array that was submitted in part (`--array=3` to repeat one task of eight) looks
// like an array of one. Give --shard there.
std::optional<FoundShard> ShardFromEnvironment(const Environment& environment);

}  // namespace ppx::batch
