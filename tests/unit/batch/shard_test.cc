#include "batch/shard.h"

#include <fmt/format.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::batch {
namespace {

using testing::ErrorOf;
using Variables = std::map<std::string, std::string>;

std::optional<FoundShard> Find(const Variables& variables) {
  return ShardFromEnvironment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

Variables Slurm(const std::string& id, const std::string& low, const std::string& high,
                const std::string& step, const std::string& count) {
  return {{"SLURM_ARRAY_TASK_ID", id},
          {"SLURM_ARRAY_TASK_MIN", low},
          {"SLURM_ARRAY_TASK_MAX", high},
          {"SLURM_ARRAY_TASK_STEP", step},
          {"SLURM_ARRAY_TASK_COUNT", count}};
}

TEST_CASE("I/N") {
  CHECK(ParseShard("2/8", "--shard") == Shard{2, 8});
  CHECK(ParseShard("1/1", "--shard") == Shard{});
  CHECK(ToText({3, 4}) == "3/4");
  for (const char* const bad : {"", "/", "1", "0/8", "9/8", "-1/8", "1/0", "1/8/2", "1 /8", "a/b",
                                "1/", "/8", "1/1000001", "99999999999999999999/1"}) {
    INFO(bad);
    const auto thrown = ErrorOf([&] { ParseShard(bad, "--shard"); });
    CHECK(thrown.code == base::ErrorCode::kUsage);
    CHECK(thrown.Mentions("--shard"));
    CHECK(thrown.Mentions("2/8"));
  }
}

TEST_CASE("ranges of one count leave no gap and do not overlap") {
  for (const int count : {1, 2, 3, 7, 8, 10, 97, 1000, 999'983}) {
    uint64_t next = 0;
    for (int index = 1; index <= count; ++index) {
      const PositionRange range = RangeOf({index, count});
      REQUIRE(range.begin == next);
      REQUIRE(range.end > range.begin);
      next = range.end;
    }
    CHECK(next == kPositions);
  }
  CHECK(RangeOf({2, 3}) == PositionRange{1537228672809129301U, 3074457345618258602U});
}

TEST_CASE("an id is in exactly one shard, and the shards are of similar size") {
  CHECK(PositionOf("abc") == 0xba7816bf8f01cfeaU >> 2);  // SHA-256 of "abc" begins so
  for (const int count : {1, 3, 8}) {
    std::vector<int> sizes(static_cast<size_t>(count));
    for (int i = 0; i < 3000; ++i) {
      int owners = 0;
      for (int index = 1; index <= count; ++index) {
        if (!Owns({index, count}, fmt::format("suite/{}", i))) continue;
        ++owners;
        ++sizes[static_cast<size_t>(index - 1)];
      }
      REQUIRE(owners == 1);
    }
    for (const int size : sizes) CHECK(std::abs(size - 3000 / count) < 120);
  }
}

TEST_CASE("outside an array of jobs there is no shard") {
  CHECK_FALSE(Find({}));
  CHECK_FALSE(
      Find({{"SLURM_JOB_ID", "17"}, {"SLURM_ARRAY_TASK_ID", ""}, {"PPX_SHARD_COUNT", "3"}}));
}

TEST_CASE("Slurm arrays") {
  const auto found = Find(Slurm("5", "4", "7", "1", "4"));
  REQUIRE(found);
  CHECK(found->shard == Shard{2, 4});
  CHECK(found->source == "SLURM_ARRAY_TASK_ID 5 of 4-7");
  CHECK(Find(Slurm("0", "0", "0", "1", "1"))->shard == Shard{1, 1});
  CHECK(Find(Slurm("9", "9", "9", "0", "1"))->shard == Shard{1, 1});
  CHECK(Find(Slurm("7", "1", "7", "3", "3"))->shard == Shard{3, 3});
  // 0-8:3 ends at 6; Slurm may name 8 or 6 as the last.
  CHECK(Find(Slurm("6", "0", "8", "3", "3"))->shard == Shard{3, 3});
  CHECK(Find(Slurm("6", "0", "6", "3", "3"))->shard == Shard{3, 3});
  for (const Variables& bad :
       {Slurm("4", "1", "7", "1", "3"), Slurm("5", "1", "7", "3", "3"),
        Slurm("8", "1", "7", "1", "7"), Slurm("0", "1", "7", "1", "7"),
        Slurm("2", "1", "7", "0", "7"), Slurm("2", "1", "7", "-1", "7"),
        Slurm("2", "-1", "7", "1", "9"), Slurm("1", "1", "9223372036854775807", "1", "2")}) {
    const auto thrown = ErrorOf([&] { Find(bad); });
    CHECK(thrown.code == base::ErrorCode::kUsage);
    CHECK(thrown.Mentions("--shard"));
  }
  for (const char* const name :
       {"SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX", "SLURM_ARRAY_TASK_COUNT"}) {
    Variables variables = Slurm("2", "1", "7", "1", "7");
    variables.erase(name);
    CHECK(ErrorOf([&] { Find(variables); }).Mentions(name));
    variables[name].push_back('x');
    CHECK(ErrorOf([&] { Find(variables); }).Mentions(name));
  }
}

TEST_CASE("Kubernetes and AWS count from 0") {
  CHECK(Find({{"JOB_COMPLETION_INDEX", "2"}, {"PPX_SHARD_COUNT", "3"}})->shard == Shard{3, 3});
  const auto thrown = ErrorOf([] { Find({{"JOB_COMPLETION_INDEX", "2"}}); });
  CHECK(thrown.code == base::ErrorCode::kUsage);
  CHECK(thrown.Mentions("PPX_SHARD_COUNT"));
  CHECK(ErrorOf([] {
          Find({{"JOB_COMPLETION_INDEX", "3"}, {"PPX_SHARD_COUNT", "3"}});
        }).Mentions("0 to 2"));
  CHECK(ErrorOf([] {
          Find({{"JOB_COMPLETION_INDEX", "0"}, {"PPX_SHARD_COUNT", "0"}});
        }).code == base::ErrorCode::kUsage);

  CHECK(Find({{"AWS_BATCH_JOB_ARRAY_INDEX", "0"}, {"AWS_BATCH_JOB_ARRAY_SIZE", "10"}})->shard ==
        Shard{1, 10});
  CHECK(Find({{"AWS_BATCH_JOB_ARRAY_INDEX", "9"}, {"PPX_SHARD_COUNT", "10"}})->shard ==
        Shard{10, 10});
  CHECK(ErrorOf([] { Find({{"AWS_BATCH_JOB_ARRAY_INDEX", "0"}}); }).Mentions("PPX_SHARD_COUNT"));
  CHECK(ErrorOf([] {
          Find({{"AWS_BATCH_JOB_ARRAY_INDEX", "10"}, {"AWS_BATCH_JOB_ARRAY_SIZE", "10"}});
        }).code == base::ErrorCode::kUsage);
}

TEST_CASE("PPX_SHARD wins") {
  Variables variables = Slurm("5", "4", "7", "1", "4");
  variables["PPX_SHARD"] = "1/2";
  const auto found = Find(variables);
  REQUIRE(found);
  CHECK(found->shard == Shard{1, 2});
  CHECK(found->source == "PPX_SHARD 1/2");
  CHECK(ErrorOf([] { Find({{"PPX_SHARD", "3/2"}}); }).Mentions("PPX_SHARD"));
}

}  // namespace
}  // namespace ppx::batch
