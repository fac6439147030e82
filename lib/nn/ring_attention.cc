#include "nn/ring_attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "base/error.h"

namespace ppx::nn {
namespace {

// Cleared by CheckRingAttentionCuda.
std::atomic<bool> cuda_kernel_trusted{true};

// x [n, H, T, D], positions [n, T] int64.
at::Tensor ApplyRope(const at::Tensor& x, const at::Tensor& positions,
                     const at::Tensor& inverse_frequencies) {
  const at::Tensor angles = positions.to(at::kFloat)
                                .unsqueeze(-1)
                                .mul(inverse_frequencies)
                                .unsqueeze(1);  // [n, 1, T, D/2]
  const at::Tensor cos = angles.cos();
  const at::Tensor sin = angles.sin();
  const at::Tensor pairs = x.to(at::kFloat).unflatten(-1, {-1, 2});
  const at::Tensor x0 = pairs.select(-1, 0);
  const at::Tensor x1 = pairs.select(-1, 1);
  return at::stack({x0 * cos - x1 * sin, x0 * sin + x1 * cos}, -1).flatten(-2).to(x.scalar_type());
}

}  // namespace

at::Tensor RopeInverseFrequencies(int head_dim, double max_period) {
  const at::Tensor pair = at::arange(head_dim / 2, at::kFloat);
  return at::exp(pair * (-std::log(max_period) * 2.0 / head_dim));
}

at::Tensor RingAttentionPlain(const RingAttentionSpec& spec, const at::Tensor& qkv,
                              const Rings& rings, const SlotIds& slots,
                              const std::vector<int64_t>& offsets,
                              const at::Tensor& inverse_frequencies) {
  const int64_t rows = qkv.size(0);
  const int64_t steps = qkv.size(1);
  const int64_t heads = spec.num_heads;
  const at::Device device = qkv.device();
  const auto index_options = at::TensorOptions().dtype(at::kLong);

  CheckRingFits(spec, steps, rings.places, slots, offsets);
  std::vector<int64_t> live_rows;
  std::vector<int64_t> firsts;
  std::vector<int64_t> capacities;
  int64_t used = 0;
  bool wraps = false;
  for (size_t row = 0; row < slots.size(); ++row) {
    // Padding looks at somebody's ring and writes to nobody's.
    const RingPlace& place = rings.places[static_cast<size_t>(std::max(slots[row], 0))];
    firsts.push_back(place.first);
    capacities.push_back(place.capacity);
    if (slots[row] == kPadding) continue;
    live_rows.push_back(static_cast<int64_t>(row));
    const int64_t end = offsets[row] + steps;
    used = std::max(used, std::min(end, place.capacity));
    wraps |= end > place.capacity;
  }
  const auto column_of = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, index_options).to(device).unsqueeze(1);  // [n, 1]
  };
  const at::Tensor live_row_index = column_of(live_rows).squeeze(1);
  const at::Tensor first = column_of(offsets);
  const at::Tensor capacity = column_of(capacities);
  // Where each row's and head's ring begins among the cells, the vectors of all rings.
  const at::Tensor ring =
      (column_of(firsts) * heads + at::arange(heads, index_options.device(device)) * capacity)
          .unsqueeze(-1);  // [n, H, 1]
  at::Tensor key_cells = rings.keys.view({-1, spec.head_dim});
  at::Tensor value_cells = rings.values.view({-1, spec.head_dim});

  // While nothing is overwritten the whole call is one chunk; a ring that wraps goes block by
  // block.
  const int64_t chunk = wraps ? spec.block : steps;
  const at::Tensor column = at::arange(used, index_options.device(device));  // ring index j
  const at::Tensor in_ring = column < capacity;                              // [n, used]
  const at::Tensor read =
      (ring + at::minimum(column, capacity - 1).unsqueeze(1)).flatten();  // [n * H * used]

  std::vector<at::Tensor> outputs;
  for (int64_t begin = 0; begin < steps; begin += chunk) {
    const int64_t count = std::min(chunk, steps - begin);
    const at::Tensor part =
        qkv.narrow(1, begin, count).permute({2, 0, 3, 1, 4});  // [3, n, H, t, D]
    const at::Tensor step = at::arange(begin, begin + count, index_options.device(device));
    const at::Tensor position = first + step;  // [n, t]
    at::Tensor query = part[0];
    at::Tensor key = part[1];
    if (inverse_frequencies.defined()) {
      query = ApplyRope(query, position, inverse_frequencies);
      key = ApplyRope(key, position, inverse_frequencies);
    }
    if (!live_rows.empty()) {
      const at::Tensor write = (ring + position.remainder(capacity).unsqueeze(1))
                                   .index_select(0, live_row_index);  // [l, H, t]
      key_cells.index_put_({write}, key.index_select(0, live_row_index));
      value_cells.index_put_({write}, part[2].index_select(0, live_row_index));
    }
    // Ring index j holds the latest position p <= newest with p mod capacity == j.
    const at::Tensor newest = first + (begin + count - 1);                   // [n, 1]
    const at::Tensor held = newest - (newest - column).remainder(capacity);  // [n, used]
    const at::Tensor query_at = position.unsqueeze(-1);                      // [n, t, 1]
    at::Tensor lowest;
    if (spec.rule == RingRule::kMaskNextSlot) {
      const at::Tensor block_end =
          first.unsqueeze(-1) +
          ((step.div(spec.block, "floor") + 1) * spec.block - 1).clamp_max(steps - 1).unsqueeze(-1);
      lowest = at::minimum(block_end - (spec.context - 2), query_at);
    } else {
      lowest = query_at - (spec.context - 1);
    }
    const at::Tensor at_column = held.unsqueeze(1);  // [n, 1, used]
    const at::Tensor visible = in_ring.unsqueeze(1)
                                   .logical_and(at_column.ge(0))
                                   .logical_and(at_column.ge(lowest))
                                   .logical_and(at_column.le(query_at));  // [n, t, used]
    const auto gather = [&](const at::Tensor& cells) {
      return cells.index_select(0, read).view({rows, heads, used, spec.head_dim}).to(at::kFloat);
    };
    at::Tensor scores = at::matmul(query.to(at::kFloat), gather(key_cells).transpose(2, 3)) *
                        (1.0 / std::sqrt(static_cast<double>(spec.head_dim)));
    // A finite floor, so that a padding row that sees nothing gives numbers, not NaN.
    scores = scores.masked_fill(visible.logical_not().unsqueeze(1),
                                std::numeric_limits<float>::lowest());
    const at::Tensor weights = at::softmax(scores, -1);
    outputs.push_back(at::matmul(weights, gather(value_cells)).to(qkv.scalar_type()));
  }
  const at::Tensor all = outputs.size() == 1 ? outputs[0] : at::cat(outputs, 2);  // [n, H, T, D]
  return all.transpose(1, 2).reshape({rows, steps, heads * spec.head_dim});
}

void CheckRingFits(const RingAttentionSpec& spec, int64_t steps, std::span<const RingPlace> places,
                   const SlotIds& slots, const std::vector<int64_t>& offsets) {
  for (size_t row = 0; row < slots.size(); ++row) {
    if (slots[row] == kPadding) continue;
    const int64_t capacity = places[static_cast<size_t>(slots[row])].capacity;
    if (capacity < spec.capacity && offsets[row] + steps > capacity) {
      base::ThrowInternal("the ring is shorter than the dialogue");
    }
  }
}

namespace {

bool AgreesWithPlain(RingAttentionKernel kernel, const RingAttentionSpec& spec, at::ScalarType type,
                     at::Device device) {
  constexpr int64_t kSteps = 26;  // one ring wraps, the other is just long enough
  const at::Tensor frequencies =
      RopeInverseFrequencies(spec.head_dim, spec.rope_max_period).to(device);
  // Any fixed numbers do; these vary over rows, steps and heads.
  const at::Tensor numbers =
      at::sin(at::arange(2 * kSteps * 3 * spec.num_heads * spec.head_dim, at::kFloat) * 0.37);
  const at::Tensor qkv =
      numbers.view({2, kSteps, 3, spec.num_heads, spec.head_dim}).to(type).to(device);
  const std::vector<RingPlace> places{{.first = 0, .capacity = spec.capacity},
                                      {.first = spec.capacity, .capacity = kSteps}};
  std::vector<at::Tensor> results;
  for (const RingAttentionKernel of : {RingAttentionKernel{RingAttentionPlain}, kernel}) {
    const at::Tensor keys =
        at::zeros({spec.num_heads * (spec.capacity + kSteps), spec.head_dim}, qkv.options());
    const Rings rings{keys, at::zeros_like(keys), places};
    results.push_back(of(spec, qkv, rings, {1, 0}, {0, 0}, frequencies).to(at::kFloat));
  }
  // Results are below 1, where bfloat16 is within 0.004.
  const double tolerance = type == at::kFloat ? 1e-3 : 2e-2;
  return (results[0] - results[1]).abs().max().item<double>() < tolerance;
}

}  // namespace

bool AgreesWithPlain(RingAttentionKernel kernel, at::Device device) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const RingRule rule : {RingRule::kMaskNextSlot, RingRule::kFull}) {
      for (const int block : {1, 2}) {
        for (const int dim : {64, 128}) {
          constexpr int kContext = 10;
          const RingAttentionSpec spec{
              .num_heads = 3,
              .head_dim = dim,
              .context = kContext,
              .capacity = kContext + (rule == RingRule::kFull ? block - 1 : 0),
              .block = block,
              .rule = rule,
              .rope_max_period = 10000};
          if (!AgreesWithPlain(kernel, spec, type, device)) return false;
        }
      }
    }
  }
  return true;
}

bool CheckRingAttentionCuda(at::Device device) {
  if (!HasRingAttentionCuda()) return true;
  static std::mutex mutex;
  static std::map<c10::DeviceIndex, bool> checked;
  const std::lock_guard lock(mutex);
  const auto before = checked.find(device.index());
  if (before != checked.end()) return before->second;
  bool agrees = false;
  try {
    agrees = AgreesWithPlain(RingAttentionCuda, device);
  } catch (const base::Error&) {
    // It cannot be launched: a GPU older than those it was compiled for.
  }
  if (!agrees) cuda_kernel_trusted = false;
  checked.emplace(device.index(), agrees);
  return agrees;
}

at::Tensor RingAttention(const RingAttentionSpec& spec, const at::Tensor& qkv, const Rings& rings,
                         const SlotIds& slots, const std::vector<int64_t>& offsets,
                         const at::Tensor& inverse_frequencies) {
  const bool cuda_kernel = qkv.is_cuda() && HasRingAttentionCuda() && cuda_kernel_trusted;
  const auto kernel = qkv.is_cpu()  ? RingAttentionCpu
                      : cuda_kernel ? RingAttentionCuda
                                    : RingAttentionPlain;
  return kernel(spec, qkv, rings, slots, offsets, inverse_frequencies);
}

at::Tensor ProjectAndAttend(const RingAttentionSpec& spec, const Linear& in_proj,
                            const at::Tensor& x, const Rings& rings, const SlotIds& slots,
                            const std::vector<int64_t>& offsets,
                            const at::Tensor& inverse_frequencies) {
  if (AttendsBesideProjection(spec, in_proj, x)) {
    return ProjectAndAttendCpu(spec, in_proj, x, rings, slots, offsets, inverse_frequencies);
  }
  const at::Tensor qkv = in_proj(x).view({x.size(0), x.size(1), 3, spec.num_heads, spec.head_dim});
  return RingAttention(spec, qkv, rings, slots, offsets, inverse_frequencies);
}

}  // namespace ppx::nn
