#include "nn/ring_attention.h"

#include <cmath>

#include "support/tolerance.h"

namespace ppx::nn {
namespace {

using test::CheckClose;
using test::CheckEqual;

struct Rings {
  Rings(const RingAttentionSpec& spec, int slots, at::ScalarType type)
      : keys(at::zeros({slots, spec.num_heads, spec.capacity, spec.head_dim}, type)),
        values(at::zeros_like(keys)) {}
  at::Tensor keys;
  at::Tensor values;
};

at::Tensor RandomQkv(int64_t rows, int64_t steps, const RingAttentionSpec& spec) {
  return at::randn({rows, steps, 3, spec.num_heads, spec.head_dim});
}

// Attention of one row written straight from the definition, in double precision: all keys ever
// appended are kept, and each query looks at the positions that the rule allows.
at::Tensor Definition(const RingAttentionSpec& spec, const at::Tensor& all_qkv) {
  const int64_t steps = all_qkv.size(0);
  const int64_t dim = spec.head_dim;
  const at::Tensor x = all_qkv.to(at::kDouble).contiguous();        // [T, 3, H, D]
  const auto rotate = [&](const at::Tensor& v, int64_t position) {  // [D]
    at::Tensor out = v.clone();
    if (spec.rope_max_period <= 0) return out;
    for (int64_t i = 0; i < dim / 2; ++i) {
      const double angle =
          static_cast<double>(position) *
          std::pow(spec.rope_max_period, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
      const double a = v[2 * i].item<double>();
      const double b = v[2 * i + 1].item<double>();
      out[2 * i] = a * std::cos(angle) - b * std::sin(angle);
      out[2 * i + 1] = a * std::sin(angle) + b * std::cos(angle);
    }
    return out;
  };
  at::Tensor result = at::zeros({steps, spec.num_heads * dim}, at::kDouble);
  for (int64_t head = 0; head < spec.num_heads; ++head) {
    std::vector<at::Tensor> keys;
    for (int64_t t = 0; t < steps; ++t) keys.push_back(rotate(x[t][1][head], t));
    for (int64_t q = 0; q < steps; ++q) {
      const int64_t e = std::min(q / spec.block * spec.block + spec.block, steps) - 1;
      const int64_t lowest = spec.rule == RingRule::kMaskNextSlot
                                 ? std::max<int64_t>(0, e - spec.context + 2)
                                 : std::max<int64_t>(0, q - spec.context + 1);
      const at::Tensor query = rotate(x[q][0][head], q);
      std::vector<at::Tensor> scores;
      for (int64_t p = lowest; p <= q; ++p) {
        scores.push_back(query.dot(keys[static_cast<size_t>(p)]) /
                         std::sqrt(static_cast<double>(dim)));
      }
      const at::Tensor weights = at::softmax(at::stack(scores), 0);
      for (int64_t p = lowest; p <= q; ++p) {
        result[q].narrow(0, head * dim, dim).add_(x[p][2][head] * weights[p - lowest]);
      }
    }
  }
  return result;
}

TEST_CASE("every kernel gives the definition, over windows, blocks, rules and pieces") {
  at::manual_seed(1);
  for (const RingRule rule : {RingRule::kMaskNextSlot, RingRule::kFull}) {
    for (const int block : {1, 2}) {
      for (const int context : {5, 8, 40}) {
        for (const double period : {0.0, 10000.0}) {
          const RingAttentionSpec spec{
              .num_heads = 3,
              .head_dim = 6,
              .context = context,
              .capacity = context + (rule == RingRule::kFull ? block - 1 : 0),
              .block = block,
              .rule = rule,
              .rope_max_period = period};
          const at::Tensor frequencies =
              period > 0 ? RopeInverseFrequencies(spec.head_dim, period) : at::Tensor();
          const int64_t steps = 22;
          const at::Tensor qkv = RandomQkv(1, steps, spec);
          const at::Tensor expected = Definition(spec, qkv[0]);
          for (const auto kernel : {RingAttentionPlain, RingAttentionCpu}) {
            for (const int64_t piece : {static_cast<int64_t>(block), int64_t{6}, steps}) {
              CAPTURE(static_cast<int>(rule));
              CAPTURE(block);
              CAPTURE(context);
              CAPTURE(period);
              CAPTURE(piece);
              CAPTURE(kernel == RingAttentionCpu);
              Rings rings(spec, 1, at::kFloat);
              std::vector<at::Tensor> out;
              for (int64_t begin = 0; begin < steps; begin += piece) {
                out.push_back(kernel(spec, qkv.narrow(1, begin, std::min(piece, steps - begin)),
                                     rings.keys, rings.values, {0}, {begin}, frequencies));
              }
              CheckClose(at::cat(out, 1)[0], expected, 1e-5);
            }
          }
        }
      }
    }
  }
}

TEST_CASE(
    "rows at different offsets, in shuffled slots, with padding: fast kernel equals plain one") {
  at::manual_seed(2);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const RingAttentionSpec spec{.num_heads = 5,
                                 .head_dim = 10,
                                 .context = 9,
                                 .capacity = 9,
                                 .block = 1,
                                 .rope_max_period = 10000};
    const at::Tensor frequencies = RopeInverseFrequencies(spec.head_dim, spec.rope_max_period);
    Rings plain(spec, 4, type);
    Rings fast(spec, 4, type);
    std::vector<int64_t> offset_of_slot{0, 3, 8, 20};
    // Give every slot a past.
    for (int slot = 0; slot < 4; ++slot) {
      const int64_t past = offset_of_slot[static_cast<size_t>(slot)];
      if (past == 0) continue;
      const at::Tensor qkv = RandomQkv(1, past, spec).to(type);
      RingAttentionPlain(spec, qkv, plain.keys, plain.values, {slot}, {0}, frequencies);
      RingAttentionCpu(spec, qkv, fast.keys, fast.values, {slot}, {0}, frequencies);
    }
    for (int round = 0; round < 12; ++round) {
      const SlotIds slots{2, kPadding, 0, 3, 1};
      std::vector<int64_t> offsets;
      for (const int slot : slots) {
        offsets.push_back(slot == kPadding ? 0 : offset_of_slot[static_cast<size_t>(slot)]++);
      }
      const at::Tensor qkv = RandomQkv(5, 1, spec).to(type);
      const at::Tensor a =
          RingAttentionPlain(spec, qkv, plain.keys, plain.values, slots, offsets, frequencies);
      const at::Tensor b =
          RingAttentionCpu(spec, qkv, fast.keys, fast.values, slots, offsets, frequencies);
      CHECK(at::isfinite(a).all().item<bool>());
      for (const int64_t row : {0, 2, 3, 4}) {
        // bfloat16: both round the same sums to 8 bits, at times to different neighbours.
        CheckClose(b[row], a[row], type == at::kFloat ? 1e-5 : 1.0 / 128);
      }
    }
    CheckClose(fast.keys, plain.keys, type == at::kFloat ? 1e-6 : 1.0 / 128);
  }
}

TEST_CASE("what a row gets does not depend on the rows beside it, to the bit") {
  at::manual_seed(3);
  const RingAttentionSpec spec{
      .num_heads = 4, .head_dim = 16, .context = 50, .capacity = 50, .rope_max_period = 10000};
  const at::Tensor frequencies = RopeInverseFrequencies(spec.head_dim, spec.rope_max_period);
  Rings alone(spec, 3, at::kFloat);
  Rings beside(spec, 3, at::kFloat);
  for (int64_t step = 0; step < 60; ++step) {
    const at::Tensor qkv = RandomQkv(3, 1, spec);
    const at::Tensor a = RingAttentionCpu(spec, qkv.narrow(0, 1, 1), alone.keys, alone.values, {1},
                                          {step}, frequencies);
    const at::Tensor b = RingAttentionCpu(spec, qkv, beside.keys, beside.values, {0, 1, 2},
                                          {step / 2, step, 0}, frequencies);
    CheckEqual(a[0], b[1]);
  }
}

TEST_CASE(
    "a ring shorter than the window serves a dialogue that fits, and refuses one that does not") {
  at::manual_seed(4);
  RingAttentionSpec whole{.num_heads = 2, .head_dim = 4, .context = 30, .capacity = 30};
  RingAttentionSpec small = whole;
  small.capacity = 12;
  const at::Tensor qkv = RandomQkv(1, 12, whole);
  for (const auto kernel : {RingAttentionPlain, RingAttentionCpu}) {
    Rings a(whole, 1, at::kFloat);
    Rings b(small, 1, at::kFloat);
    CheckClose(kernel(small, qkv, b.keys, b.values, {0}, {0}, {}),
               kernel(whole, qkv, a.keys, a.values, {0}, {0}, {}), 1e-6);
    CHECK_THROWS(kernel(small, qkv.narrow(1, 0, 1), b.keys, b.values, {0}, {12}, {}));
  }
}

}  // namespace
}  // namespace ppx::nn
