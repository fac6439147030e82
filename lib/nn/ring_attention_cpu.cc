// The CPU kernel of ring attention: rotary embedding, append and attention in one pass over the
// positions in use. One (row, head) pair is computed by one thread, in a fixed order, so the result
// depends neither on the other rows nor on the number of threads.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "nn/ring_attention.h"

// Function clones for wider vectors, chosen when the program starts. Sanitizers instrument the code
// that chooses, which runs before they are ready, so sanitized builds take the plain one.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PPX_VECTOR_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PPX_VECTOR_CLONES
#endif

namespace ppx::nn {
namespace {

PPX_VECTOR_CLONES
float Dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

PPX_VECTOR_CLONES
void AddScaled(float* sum, float weight, const float* x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) sum[i] += weight * x[i];
}

float FromBits(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  static_assert(sizeof(value) == sizeof(wide));
  __builtin_memcpy(&value, &wide, sizeof(value));
  return value;
}

PPX_VECTOR_CLONES
float DotBf16(const float* a, const uint16_t* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += a[i] * FromBits(b[i]);
  return sum;
}

PPX_VECTOR_CLONES
void AddScaledBf16(float* sum, float weight, const uint16_t* x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) sum[i] += weight * FromBits(x[i]);
}

float DotRow(const float* a, const float* b, int64_t n) { return Dot(a, b, n); }
float DotRow(const float* a, const at::BFloat16* b, int64_t n) {
  return DotBf16(a, reinterpret_cast<const uint16_t*>(b), n);
}
void AddScaledRow(float* sum, float weight, const float* x, int64_t n) {
  AddScaled(sum, weight, x, n);
}
void AddScaledRow(float* sum, float weight, const at::BFloat16* x, int64_t n) {
  AddScaledBf16(sum, weight, reinterpret_cast<const uint16_t*>(x), n);
}

// Rotates `in` into `out`, rounded to the type that keys are kept in.
template <typename T>
void Rotate(const T* in, const float* cos, const float* sin, int64_t head_dim, T* out) {
  if (cos == nullptr) {
    std::copy(in, in + head_dim, out);
    return;
  }
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const float x0 = static_cast<float>(in[2 * i]);
    const float x1 = static_cast<float>(in[2 * i + 1]);
    out[2 * i] = static_cast<T>(x0 * cos[i] - x1 * sin[i]);
    out[2 * i + 1] = static_cast<T>(x0 * sin[i] + x1 * cos[i]);
  }
}

template <typename T>
void Attend(const RingAttentionSpec& spec, const at::Tensor& qkv, at::Tensor& keys,
            at::Tensor& values, const SlotIds& slots, const std::vector<int64_t>& offsets,
            const at::Tensor& inverse_frequencies, at::Tensor& output) {
  const int64_t rows = qkv.size(0);
  const int64_t steps = qkv.size(1);
  const int64_t heads = spec.num_heads;
  const int64_t dim = spec.head_dim;
  const int64_t capacity = spec.capacity;
  const int64_t half = dim / 2;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(dim)));
  const T* packed = qkv.const_data_ptr<T>();
  T* key_ring = keys.data_ptr<T>();
  T* value_ring = values.data_ptr<T>();
  T* out = output.data_ptr<T>();

  // Angles depend on the row and the step alone: once for all heads.
  const bool rope = inverse_frequencies.defined();
  std::vector<float> cos_table;
  std::vector<float> sin_table;
  if (rope) {
    const float* frequency = inverse_frequencies.const_data_ptr<float>();
    cos_table.resize(static_cast<size_t>(rows * steps * half));
    sin_table.resize(cos_table.size());
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t t = 0; t < steps; ++t) {
        for (int64_t i = 0; i < half; ++i) {
          const float angle =
              static_cast<float>(offsets[static_cast<size_t>(row)] + t) * frequency[i];
          const auto cell = static_cast<size_t>((row * steps + t) * half + i);
          cos_table[cell] = std::cos(angle);
          sin_table[cell] = std::sin(angle);
        }
      }
    }
  }

  // A thread is worth its start from about this many multiplications on.
  constexpr int64_t kWorkPerThread = 1 << 15;
  int64_t longest = 0;
  for (const int64_t offset : offsets)
    longest = std::max(longest, std::min<int64_t>(offset + steps, spec.context));
  const int64_t grain =
      std::max<int64_t>(1, kWorkPerThread / std::max<int64_t>(1, longest * steps * dim));
  at::parallel_for(0, rows * heads, grain, [&](int64_t begin, int64_t end) {
    std::vector<T> rotated(static_cast<size_t>(dim));
    std::vector<float> query(static_cast<size_t>(dim));
    std::vector<float> sum(static_cast<size_t>(dim));
    std::vector<float> weights;
    for (int64_t pair = begin; pair < end; ++pair) {
      const int64_t row = pair / heads;
      const int64_t head = pair % heads;
      const int slot = slots[static_cast<size_t>(row)];
      const auto packed_at = [&](int64_t t, int64_t part) {
        return packed + (((row * steps + t) * 3 + part) * heads + head) * dim;
      };
      const auto out_at = [&](int64_t t) { return out + ((row * steps + t) * heads + head) * dim; };
      if (slot == kPadding) {
        for (int64_t t = 0; t < steps; ++t) std::fill(out_at(t), out_at(t) + dim, T(0));
        continue;
      }
      const int64_t offset = offsets[static_cast<size_t>(row)];
      T* ring_keys = key_ring + (slot * heads + head) * capacity * dim;
      T* ring_values = value_ring + (slot * heads + head) * capacity * dim;
      const auto angles_at = [&](const std::vector<float>& table, int64_t t) {
        return rope ? table.data() + (row * steps + t) * half : nullptr;
      };
      for (int64_t block = 0; block < steps; block += spec.block) {
        const int64_t block_end = std::min<int64_t>(block + spec.block, steps);
        for (int64_t t = block; t < block_end; ++t) {
          const int64_t cell = (offset + t) % capacity;
          Rotate(packed_at(t, 1), angles_at(cos_table, t), angles_at(sin_table, t), dim,
                 ring_keys + cell * dim);
          std::copy(packed_at(t, 2), packed_at(t, 2) + dim, ring_values + cell * dim);
        }
        for (int64_t t = block; t < block_end; ++t) {
          const int64_t at = offset + t;
          const int64_t lowest =
              spec.rule == RingRule::kMaskNextSlot
                  ? std::min(std::max<int64_t>(0, offset + block_end - 1 - spec.context + 2), at)
                  : std::max<int64_t>(0, at - spec.context + 1);
          const int64_t count = at - lowest + 1;
          Rotate(packed_at(t, 0), angles_at(cos_table, t), angles_at(sin_table, t), dim,
                 rotated.data());
          for (int64_t i = 0; i < dim; ++i) {
            query[static_cast<size_t>(i)] = static_cast<float>(rotated[static_cast<size_t>(i)]);
          }
          weights.resize(static_cast<size_t>(count));
          int64_t cell = lowest % capacity;
          float highest = -INFINITY;
          for (int64_t i = 0; i < count; ++i) {
            const float score = DotRow(query.data(), ring_keys + cell * dim, dim) * scale;
            weights[static_cast<size_t>(i)] = score;
            highest = std::max(highest, score);
            if (++cell == capacity) cell = 0;
          }
          float total = 0;
          for (float& weight : weights) {
            weight = std::exp(weight - highest);
            total += weight;
          }
          std::fill(sum.begin(), sum.end(), 0.0F);
          cell = lowest % capacity;
          for (int64_t i = 0; i < count; ++i) {
            AddScaledRow(sum.data(), weights[static_cast<size_t>(i)], ring_values + cell * dim,
                         dim);
            if (++cell == capacity) cell = 0;
          }
          T* result = out_at(t);
          for (int64_t i = 0; i < dim; ++i) {
            result[i] = static_cast<T>(sum[static_cast<size_t>(i)] / total);
          }
        }
      }
    }
  });
}

}  // namespace

at::Tensor RingAttentionCpu(const RingAttentionSpec& spec, const at::Tensor& qkv, at::Tensor& keys,
                            at::Tensor& values, const SlotIds& slots,
                            const std::vector<int64_t>& offsets,
                            const at::Tensor& inverse_frequencies) {
  CheckRingFits(spec, qkv.size(1), slots, offsets);
  const at::Tensor packed = qkv.contiguous();
  at::Tensor output =
      at::empty({qkv.size(0), qkv.size(1), int64_t{spec.num_heads} * spec.head_dim}, qkv.options());
  if (qkv.scalar_type() == at::kFloat) {
    Attend<float>(spec, packed, keys, values, slots, offsets, inverse_frequencies, output);
  } else if (qkv.scalar_type() == at::kBFloat16) {
    Attend<at::BFloat16>(spec, packed, keys, values, slots, offsets, inverse_frequencies, output);
  } else {
    base::ThrowInternal("ring attention computes in float32 or bfloat16");
  }
  return output;
}

}  // namespace ppx::nn
