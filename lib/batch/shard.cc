#include "batch/shard.h"

#include <fmt/format.h>

#include <charconv>
#include <span>

#include "base/digest.h"
#include "base/error.h"

namespace ppx::batch {
namespace {

std::optional<int64_t> ParseWhole(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

uint64_t Boundary(const Shard& shard, int index) {
  using Wide = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Wide>(index) * kPositions /
                               static_cast<Wide>(shard.count));
}

// What the cluster's scheduler says, read with errors that name the variable.
class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  std::optional<std::string> Text(const std::string& name) const {
    std::optional<std::string> value = environment_(name);
    if (value && value->empty()) value.reset();
    return value;
  }

  std::optional<int64_t> Whole(const std::string& name) const {
    const std::optional<std::string> text = Text(name);
    if (!text) return std::nullopt;
    const std::optional<int64_t> value = ParseWhole(*text);
    if (!value) {
      base::ThrowUsage(
          fmt::format("{}={}: expected a whole number; give --shard I/N instead", name, *text));
    }
    return value;
  }

  int64_t Need(const std::string& name, const std::string& beside) const {
    const std::optional<int64_t> value = Whole(name);
    if (!value) {
      base::ThrowUsage(
          fmt::format("{} is set, but {} is not; set it to the number of shards, or "
                      "give --shard I/N",
                      beside, name));
    }
    return *value;
  }

 private:
  const Environment& environment_;
};

// `place` from 0.
FoundShard Place(int64_t place, int64_t count, const std::string& source) {
  if (count < 1 || count > kMaxShards) {
    base::ThrowUsage(fmt::format("{}: {} shards; expected 1 to {}", source, count, kMaxShards));
  }
  if (place < 0 || place >= count) {
    base::ThrowUsage(
        fmt::format("{}: expected 0 to {}; give --shard I/N instead", source, count - 1));
  }
  return {{static_cast<int>(place) + 1, static_cast<int>(count)}, source};
}

FoundShard FromSlurm(const Variables& variables, int64_t id) {
  const std::string name = "SLURM_ARRAY_TASK_ID";
  const int64_t low = variables.Need("SLURM_ARRAY_TASK_MIN", name);
  const int64_t high = variables.Need("SLURM_ARRAY_TASK_MAX", name);
  const int64_t count = variables.Need("SLURM_ARRAY_TASK_COUNT", name);
  // An array of one task has no step worth the name.
  const int64_t step = count == 1 ? 1 : variables.Whole("SLURM_ARRAY_TASK_STEP").value_or(1);
  const std::string source = step == 1
                                 ? fmt::format("{} {} of {}-{}", name, id, low, high)
                                 : fmt::format("{} {} of {}-{}:{}", name, id, low, high, step);
  // Slurm's own numbers fit in 32 bits; these bounds keep the arithmetic in range.
  constexpr int64_t kLargest = int64_t{1} << 40;
  const bool sane = step >= 1 && low >= 0 && id >= low && high >= id && high < kLargest;
  if (!sane || (high - low) / step + 1 != count || (id - low) % step != 0) {
    base::ThrowUsage(
        fmt::format("{}, {} tasks: an array with gaps, whose task's place cannot be told; give "
                    "--shard I/N, or submit an array such as 1-{}",
                    source, count, count));
  }
  return Place((id - low) / step, count, source);
}

}  // namespace

uint64_t PositionOf(std::string_view id) {
  const std::string digest = base::Sha256Hex(std::as_bytes(std::span(id)));
  uint64_t bits = 0;
  std::from_chars(digest.data(), digest.data() + 16, bits, 16);
  return bits >> 2;
}

PositionRange RangeOf(const Shard& shard) {
  return {Boundary(shard, shard.index - 1), Boundary(shard, shard.index)};
}

bool Owns(const Shard& shard, std::string_view id) {
  const uint64_t position = PositionOf(id);
  const PositionRange range = RangeOf(shard);
  return position >= range.begin && position < range.end;
}

Shard ParseShard(std::string_view text, const std::string& name) {
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const std::optional<int64_t> index = ParseWhole(text.substr(0, slash));
    const std::optional<int64_t> count = ParseWhole(text.substr(slash + 1));
    if (index && count && *count >= 1 && *count <= kMaxShards && *index >= 1 && *index <= *count) {
      return {static_cast<int>(*index), static_cast<int>(*count)};
    }
  }
  base::ThrowUsage(
      fmt::format("{} {}: expected I/N such as 2/8, with I from 1 to N and N at most {}", name,
                  text, kMaxShards));
}

std::string ToText(const Shard& shard) { return fmt::format("{}/{}", shard.index, shard.count); }

std::optional<FoundShard> ShardFromEnvironment(const Environment& environment) {
  const Variables variables(environment);
  if (const auto text = variables.Text("PPX_SHARD")) {
    return FoundShard{ParseShard(*text, "PPX_SHARD"), "PPX_SHARD " + *text};
  }
  if (const auto id = variables.Whole("SLURM_ARRAY_TASK_ID")) return FromSlurm(variables, *id);
  const std::string aws = "AWS_BATCH_JOB_ARRAY_INDEX";
  if (const auto place = variables.Whole(aws)) {
    const std::optional<int64_t> size = variables.Whole("AWS_BATCH_JOB_ARRAY_SIZE");
    const int64_t count = size ? *size : variables.Need("PPX_SHARD_COUNT", aws);
    return Place(*place, count, fmt::format("{} {} of {}", aws, *place, count));
  }
  const std::string kubernetes = "JOB_COMPLETION_INDEX";
  if (const auto place = variables.Whole(kubernetes)) {
    const int64_t count = variables.Need("PPX_SHARD_COUNT", kubernetes);
    return Place(*place, count, fmt::format("{} {} of {}", kubernetes, *place, count));
  }
  return std::nullopt;
}

}  // namespace ppx::batch
