// Ring attention on the CPU: rotary embedding, append and attention over the positions in use. One
// (row, head) pair is computed by one thread in a fixed order, so the result depends neither on the
// other rows, nor on how many steps a call brings, nor on the number of threads.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "base/error.h"
#include "kernels/loops.h"
#include "kernels/parallel.h"
#include "nn/ring_attention.h"

namespace ppx::nn {
namespace {

// Angles depend on the row and the step alone: once for all heads. Empty without embedding.
struct RopeTable {
  RopeTable(const at::Tensor& inverse_frequencies, const SlotIds& slots,
            const std::vector<int64_t>& offsets, int64_t steps, int64_t dim)
      : steps_(steps), dim_(dim) {
    if (!inverse_frequencies.defined()) return;
    const auto rows = static_cast<int64_t>(slots.size());
    cos_ = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(rows * steps * dim));
    sin_ = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(rows * steps * dim));
    const float* frequencies = inverse_frequencies.const_data_ptr<float>();
    const kernels::RopeAngles fill = kernels::CurrentRopeAngles();
    for (int64_t row = 0; row < rows; ++row) {
      if (slots[static_cast<size_t>(row)] == kPadding) continue;
      for (int64_t t = 0; t < steps; ++t) {
        const int64_t at = (row * steps + t) * dim;
        fill(static_cast<float>(offsets[static_cast<size_t>(row)] + t), frequencies, dim / 2,
             cos_.get() + at, sin_.get() + at);
      }
    }
  }

  template <typename T>
  void Rotate(const T* x, int64_t row, int64_t t, T* y) const {
    const int64_t at = (row * steps_ + t) * dim_;
    if (cos_ == nullptr) {
      std::copy(x, x + dim_, y);
    } else {
      kernels::CurrentLoops<T>().rotate(x, cos_.get() + at, sin_.get() + at, dim_, y);
    }
  }

 private:
  int64_t steps_;
  int64_t dim_;
  std::unique_ptr<float[]> cos_;
  std::unique_ptr<float[]> sin_;
};

// What a thread needs besides, kept from one head to the next.
template <typename T>
struct Workspace {
  std::vector<float> scratch;
  std::vector<T> rotated;
  std::vector<kernels::AttentionQuery<T>> queries;
};

// All tensors of a call, T being float or kernels::Bf16.
template <typename T>
struct Call {
  const RingAttentionSpec& spec;
  int64_t steps;
  const T* packed;
  T* keys;
  T* values;
  T* output;
  const RopeTable& rope;

  // The lowest position that the query of step t sees, its block ending before step block_end.
  int64_t Lowest(int64_t offset, int64_t t, int64_t block_end) const {
    const int64_t at = offset + t;
    const int64_t lowest = spec.rule == RingRule::kMaskNextSlot
                               ? offset + block_end - 1 - spec.context + 2
                               : at - spec.context + 1;
    return std::clamp<int64_t>(lowest, 0, at);
  }

  void Attend(int64_t row, int64_t head, const RingPlace& place, int64_t offset,
              Workspace<T>& workspace) const {
    const int64_t heads = spec.num_heads;
    const int64_t dim = spec.head_dim;
    const int64_t capacity = place.capacity;
    // Steps up to the ring's end overwrite nothing and are attended to together; from then on each
    // block overwrites what only earlier ones see.
    const int64_t together =
        std::max<int64_t>(spec.block, (capacity - offset) / spec.block * spec.block);
    const int64_t ring = (place.first * heads + head * capacity) * dim;
    T* ring_keys = keys + ring;
    T* ring_values = values + ring;
    std::vector<kernels::AttentionQuery<T>>& queries = workspace.queries;
    workspace.rotated.resize(static_cast<size_t>(std::min(steps, together) * dim));
    workspace.scratch.resize(static_cast<size_t>(
        kernels::AttentionScratch(std::min<int64_t>(offset + steps, capacity), dim)));
    const auto packed_at = [&](int64_t t, int64_t part) {
      return packed + (((row * steps + t) * 3 + part) * heads + head) * dim;
    };
    const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dim)));
    for (int64_t begin = 0; begin < steps;) {
      const int64_t end = std::min(steps, begin + (begin == 0 ? together : spec.block));
      queries.clear();
      for (int64_t t = begin; t < end; ++t) {
        const int64_t cell = (offset + t) % capacity;
        rope.Rotate(packed_at(t, 1), row, t, ring_keys + cell * dim);
        std::copy(packed_at(t, 2), packed_at(t, 2) + dim, ring_values + cell * dim);
        T* query = workspace.rotated.data() + (t - begin) * dim;
        rope.Rotate(packed_at(t, 0), row, t, query);
        const int64_t block_end =
            std::min<int64_t>(t / spec.block * spec.block + spec.block, steps);
        queries.push_back({.query = query,
                           .first = Lowest(offset, t, block_end),
                           .last = offset + t + 1,
                           .output = output + ((row * steps + t) * heads + head) * dim});
      }
      kernels::CurrentLoops<T>().attend(
          {.keys = ring_keys, .values = ring_values, .capacity = capacity, .dim = dim},
          queries.data(), end - begin, scale, workspace.scratch.data());
      begin = end;
    }
  }
};

// Attends for one head of one row; of padding there is nothing to do.
using AttendPair = std::function<void(int64_t row, int64_t head)>;

// Hands a run of all pairs what to call for each; `qkv` may be filled meanwhile. Bfloat16 is bits
// to the kernels.
template <typename Element>
at::Tensor Attend(const RingAttentionSpec& spec, const at::Tensor& qkv, const Rings& rings,
                  const SlotIds& slots, const std::vector<int64_t>& offsets,
                  const at::Tensor& inverse_frequencies,
                  const std::function<void(const AttendPair&)>& run) {
  using T = std::conditional_t<std::is_same_v<Element, float>, float, kernels::Bf16>;
  at::Tensor output =
      at::empty({qkv.size(0), qkv.size(1), int64_t{spec.num_heads} * spec.head_dim}, qkv.options());
  const RopeTable rope(inverse_frequencies, slots, offsets, qkv.size(1), spec.head_dim);
  const Call<T> call{.spec = spec,
                     .steps = qkv.size(1),
                     .packed = reinterpret_cast<const T*>(qkv.const_data_ptr<Element>()),
                     .keys = reinterpret_cast<T*>(rings.keys.data_ptr<Element>()),
                     .values = reinterpret_cast<T*>(rings.values.data_ptr<Element>()),
                     .output = reinterpret_cast<T*>(output.data_ptr<Element>()),
                     .rope = rope};
  for (size_t row = 0; row < slots.size(); ++row) {
    if (slots[row] == kPadding) output.select(0, static_cast<int64_t>(row)).zero_();
  }
  run([&](int64_t row, int64_t head) {
    thread_local Workspace<T> workspace;
    const auto index = static_cast<size_t>(row);
    if (slots[index] == kPadding) return;
    call.Attend(row, head, rings.places[static_cast<size_t>(slots[index])], offsets[index],
                workspace);
  });
  return output;
}

at::Tensor AttendWith(const RingAttentionSpec& spec, const at::Tensor& qkv, const Rings& rings,
                      const SlotIds& slots, const std::vector<int64_t>& offsets,
                      const at::Tensor& inverse_frequencies,
                      const std::function<void(const AttendPair&)>& run) {
  CheckRingFits(spec, qkv.size(1), rings.places, slots, offsets);
  if (qkv.scalar_type() == at::kFloat) {
    return Attend<float>(spec, qkv, rings, slots, offsets, inverse_frequencies, run);
  }
  if (qkv.scalar_type() == at::kBFloat16) {
    return Attend<at::BFloat16>(spec, qkv, rings, slots, offsets, inverse_frequencies, run);
  }
  base::ThrowInternal("ring attention computes in float32 or bfloat16");
}

}  // namespace

at::Tensor RingAttentionCpu(const RingAttentionSpec& spec, const at::Tensor& qkv,
                            const Rings& rings, const SlotIds& slots,
                            const std::vector<int64_t>& offsets,
                            const at::Tensor& inverse_frequencies) {
  const int64_t steps = qkv.size(1);
  int64_t longest = 0;
  for (size_t row = 0; row < slots.size(); ++row) {
    if (slots[row] == kPadding) continue;
    longest = std::max(longest, std::min<int64_t>(offsets[row] + steps, spec.context));
  }
  // A thread is worth its start from about this many multiplications on.
  constexpr int64_t kWorkPerTask = 1 << 16;
  const int64_t heads = spec.num_heads;
  const int64_t work = std::max<int64_t>(1, 2 * longest * steps * spec.head_dim);
  const int64_t pairs = qkv.size(0) * heads;
  const int64_t tasks = std::clamp<int64_t>(pairs * work / kWorkPerTask, 1, pairs);
  const auto run = [&](const AttendPair& attend) {
    kernels::ParallelFor(tasks, [&](int64_t task) {
      for (int64_t pair = pairs * task / tasks; pair < pairs * (task + 1) / tasks; ++pair) {
        attend(pair / heads, pair % heads);
      }
    });
  };
  return AttendWith(spec, qkv.contiguous(), rings, slots, offsets, inverse_frequencies, run);
}

bool AttendsBesideProjection(const RingAttentionSpec& spec, const Linear& in_proj,
                             const at::Tensor& x) {
  // Fewer rows wait for the weights, and more threads than heads would be idle.
  constexpr int64_t kFewestRows = 8;
  return x.is_cpu() && in_proj.packed().defined() && x.size(0) >= kFewestRows &&
         spec.head_dim % kernels::BandWork::kWidthUnit == 0 &&
         spec.num_heads >= 2 * kernels::Threads();
}

at::Tensor ProjectAndAttendCpu(const RingAttentionSpec& spec, const Linear& in_proj,
                               const at::Tensor& x, const Rings& rings, const SlotIds& slots,
                               const std::vector<int64_t>& offsets,
                               const at::Tensor& inverse_frequencies) {
  const int64_t heads = spec.num_heads;
  const int64_t dim = spec.head_dim;
  at::Tensor qkv = at::empty({x.size(0), x.size(1), 3, heads, dim}, x.options());
  const auto cell_bytes = static_cast<int64_t>(x.element_size()) * dim;
  // The cells in use of a row's and head's ring, all of them where it has wrapped.
  const auto in_use = [&](const at::Tensor& ring, int64_t head,
                          size_t row) -> std::span<const std::byte> {
    if (slots[row] == kPadding) return {};
    const RingPlace& place = rings.places[static_cast<size_t>(slots[row])];
    const int64_t cells = std::min<int64_t>(offsets[row] + x.size(1), place.capacity);
    return {static_cast<const std::byte*>(ring.const_data_ptr()) +
                (place.first * heads + head * place.capacity) * cell_bytes,
            static_cast<size_t>(cells * cell_bytes)};
  };
  const auto run = [&](const AttendPair& attend) {
    const kernels::BandWork work{.bands = heads,
                                 .parts = 3,
                                 .width = dim,
                                 .pieces = x.size(0),
                                 .reads =
                                     [&](int64_t head, int64_t row) {
                                       const auto index = static_cast<size_t>(row);
                                       return kernels::BandWork::Reads{
                                           in_use(rings.keys, head, index),
                                           in_use(rings.values, head, index)};
                                     },
                                 .work = [&](int64_t head, int64_t row) { attend(row, head); }};
    in_proj.Multiply(x, qkv, &work);
  };
  return AttendWith(spec, qkv, rings, slots, offsets, inverse_frequencies, run);
}

}  // namespace ppx::nn
