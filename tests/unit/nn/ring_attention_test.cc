#include "nn/ring_attention.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/each_isa.h"
#include "support/packed_linear.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

using test::CheckClose;
using test::CheckEqual;

using Capacities = std::vector<int64_t>;

// A ring of so many steps for each slot.
struct OwnRings {
  OwnRings(const RingAttentionSpec& spec, const Capacities& capacities, at::ScalarType type) {
    int64_t total = 0;
    for (const int64_t capacity : capacities) {
      places.push_back({.first = total, .capacity = capacity});
      total += capacity;
    }
    keys = at::zeros({spec.num_heads * total, spec.head_dim}, type);
    values = at::zeros_like(keys);
  }
  OwnRings(const RingAttentionSpec& spec, int slots, at::ScalarType type)
      : OwnRings(spec, Capacities(static_cast<size_t>(slots), spec.capacity), type) {}

  operator Rings() const { return {keys, values, places}; }

  std::vector<RingPlace> places;
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

void CheckDefinition() {
  test::Seed(1);
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
              OwnRings rings(spec, 1, at::kFloat);
              std::vector<at::Tensor> out;
              for (int64_t begin = 0; begin < steps; begin += piece) {
                out.push_back(kernel(spec, qkv.narrow(1, begin, std::min(piece, steps - begin)),
                                     rings, {0}, {begin}, frequencies));
              }
              CheckClose(at::cat(out, 1)[0], expected, 1e-5);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("every kernel gives the definition, over windows, blocks, rules and pieces") {
  test::ForEachIsa(CheckDefinition);
}

TEST_CASE(
    "rows at different offsets, in shuffled slots, with padding: fast kernel equals plain one") {
  test::Seed(2);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const RingAttentionSpec spec{.num_heads = 5,
                                 .head_dim = 10,
                                 .context = 9,
                                 .capacity = 9,
                                 .block = 1,
                                 .rope_max_period = 10000};
    const at::Tensor frequencies = RopeInverseFrequencies(spec.head_dim, spec.rope_max_period);
    OwnRings plain(spec, 4, type);
    OwnRings fast(spec, 4, type);
    std::vector<int64_t> offset_of_slot{0, 3, 8, 20};
    // Give every slot a past.
    for (int slot = 0; slot < 4; ++slot) {
      const int64_t past = offset_of_slot[static_cast<size_t>(slot)];
      if (past == 0) continue;
      const at::Tensor qkv = RandomQkv(1, past, spec).to(type);
      RingAttentionPlain(spec, qkv, plain, {slot}, {0}, frequencies);
      RingAttentionCpu(spec, qkv, fast, {slot}, {0}, frequencies);
    }
    for (int round = 0; round < 12; ++round) {
      const SlotIds slots{2, kPadding, 0, 3, 1};
      std::vector<int64_t> offsets;
      for (const int slot : slots) {
        offsets.push_back(slot == kPadding ? 0 : offset_of_slot[static_cast<size_t>(slot)]++);
      }
      const at::Tensor qkv = RandomQkv(5, 1, spec).to(type);
      const at::Tensor a = RingAttentionPlain(spec, qkv, plain, slots, offsets, frequencies);
      const at::Tensor b = RingAttentionCpu(spec, qkv, fast, slots, offsets, frequencies);
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
  test::Seed(3);
  const RingAttentionSpec spec{
      .num_heads = 4, .head_dim = 16, .context = 50, .capacity = 50, .rope_max_period = 10000};
  const at::Tensor frequencies = RopeInverseFrequencies(spec.head_dim, spec.rope_max_period);
  OwnRings alone(spec, 3, at::kFloat);
  OwnRings beside(spec, 3, at::kFloat);
  for (int64_t step = 0; step < 60; ++step) {
    const at::Tensor qkv = RandomQkv(3, 1, spec);
    const at::Tensor a =
        RingAttentionCpu(spec, qkv.narrow(0, 1, 1), alone, {1}, {step}, frequencies);
    const at::Tensor b =
        RingAttentionCpu(spec, qkv, beside, {0, 1, 2}, {step / 2, step, 0}, frequencies);
    CheckEqual(a[0], b[1]);
  }
}

// One dialogue of `steps` steps, brought in calls of `pieces` steps.
at::Tensor Run(const RingAttentionSpec& spec, const at::Tensor& qkv,
               const std::vector<int64_t>& pieces, const at::Tensor& frequencies,
               int64_t capacity = 0) {
  OwnRings rings(spec, Capacities{capacity > 0 ? capacity : spec.capacity}, qkv.scalar_type());
  std::vector<at::Tensor> out;
  int64_t begin = 0;
  for (const int64_t piece : pieces) {
    out.push_back(
        RingAttentionCpu(spec, qkv.narrow(1, begin, piece), rings, {0}, {begin}, frequencies));
    begin += piece;
  }
  REQUIRE(begin == qkv.size(1));
  return at::cat(out, 1);
}

TEST_CASE(
    "a step gets the same bits whether it comes alone, in a prefill, or past the ring's end") {
  test::Seed(5);
  test::ForEachIsa([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const RingRule rule : {RingRule::kMaskNextSlot, RingRule::kFull}) {
        for (const int block : {1, 2}) {
          for (const int dim : {128, 64, 22}) {
            RingAttentionSpec spec{.num_heads = 2,
                                   .head_dim = dim,
                                   .context = 70,
                                   .capacity = 70 + (rule == RingRule::kFull ? block - 1 : 0),
                                   .block = block,
                                   .rule = rule,
                                   .rope_max_period = 10000};
            CAPTURE(type);
            CAPTURE(static_cast<int>(rule));
            CAPTURE(block);
            CAPTURE(dim);
            const at::Tensor frequencies = RopeInverseFrequencies(dim, spec.rope_max_period);
            const at::Tensor qkv = RandomQkv(1, 180, spec).to(type);
            const at::Tensor stepped =
                Run(spec, qkv, std::vector<int64_t>(static_cast<size_t>(180 / block), block),
                    frequencies);
            CheckEqual(Run(spec, qkv, {180}, frequencies), stepped);
            CheckEqual(Run(spec, qkv, {38, 2, 60, 80}, frequencies), stepped);
            // A ring as long as the dialogue never wraps: other pieces, the same order.
            spec.context = 200;
            spec.capacity = 201;
            const at::Tensor whole = Run(spec, qkv, {180}, frequencies, 180);
            CheckEqual(Run(spec, qkv, {6, 2, 90, 82}, frequencies, 180), whole);
            CheckEqual(Run(spec, qkv, {180}, frequencies), whole);
            OwnRings rings(spec, Capacities{180}, type);
            CheckClose(whole, RingAttentionPlain(spec, qkv, rings, {0}, {0}, frequencies),
                       type == at::kFloat ? 1e-5 : 1.0 / 128);
          }
        }
      }
    }
  });
}

TEST_CASE("the number of threads changes no bit") {
  test::Seed(6);
  const RingAttentionSpec spec{
      .num_heads = 8, .head_dim = 64, .context = 300, .capacity = 300, .rope_max_period = 10000};
  const at::Tensor frequencies = RopeInverseFrequencies(spec.head_dim, spec.rope_max_period);
  const at::Tensor qkv = RandomQkv(5, 250, spec);
  const int before = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    OwnRings rings(spec, 5, at::kFloat);
    results.push_back(RingAttentionCpu(spec, qkv, rings, {3, kPadding, 0, 4, 1}, {0, 0, 40, 280, 7},
                                       frequencies));
  }
  at::set_num_threads(before);
  CheckEqual(results[0], results[1]);
  CheckEqual(results[0][1], at::zeros_like(results[0][1]));
}

TEST_CASE("far into a dialogue the rotation is that of the plain path") {
  test::Seed(7);
  const RingAttentionSpec spec{
      .num_heads = 1, .head_dim = 12, .context = 8, .capacity = 8, .rope_max_period = 10000};
  const at::Tensor frequencies = RopeInverseFrequencies(spec.head_dim, spec.rope_max_period);
  test::ForEachIsa([&] {
    for (const int64_t offset : {0, 1, 1000, 99999, 10000000}) {
      CAPTURE(offset);
      const at::Tensor qkv = RandomQkv(1, 4, spec);
      OwnRings fast(spec, 1, at::kFloat);
      OwnRings plain(spec, 1, at::kFloat);
      RingAttentionCpu(spec, qkv, fast, {0}, {offset}, frequencies);
      RingAttentionPlain(spec, qkv, plain, {0}, {offset}, frequencies);
      CheckClose(fast.keys, plain.keys, 1e-6);
    }
  });
}

TEST_CASE("scores far apart, and what is no number") {
  const RingAttentionSpec spec{.num_heads = 1, .head_dim = 4, .context = 50, .capacity = 50};
  test::ForEachIsa([&] {
    // Key p is p in all places, so that the last one takes all the weight.
    at::Tensor qkv = at::zeros({1, 40, 3, 1, 4});
    qkv.select(2, 0).fill_(100);
    qkv.select(2, 1).copy_(at::arange(40).view({1, 40, 1, 1}).expand({1, 40, 1, 4}));
    qkv.select(2, 2).copy_(qkv.select(2, 1));
    CheckEqual(Run(spec, qkv, {40}, {})[0], qkv[0].select(1, 1).squeeze(1));
    // And with all scores far below zero.
    qkv.select(2, 1).mul_(-1).sub_(1000);
    CheckEqual(Run(spec, qkv, {40}, {})[0], at::zeros({40, 4}));
    // A broken step shows from then on, and not before.
    qkv[0][20][1].fill_(std::numeric_limits<float>::quiet_NaN());
    const at::Tensor broken = Run(spec, qkv, {40}, {})[0].isnan();
    CHECK_FALSE(broken.narrow(0, 0, 20).any().item<bool>());
    CHECK(broken.narrow(0, 20, 20).all().item<bool>());
  });
}

TEST_CASE(
    "a ring shorter than the window serves a dialogue that fits, and refuses one that does not") {
  test::Seed(4);
  const RingAttentionSpec spec{.num_heads = 2, .head_dim = 4, .context = 30, .capacity = 30};
  const at::Tensor qkv = RandomQkv(1, 12, spec);
  for (const auto kernel : {RingAttentionPlain, RingAttentionCpu}) {
    OwnRings a(spec, 1, at::kFloat);
    OwnRings b(spec, Capacities{12}, at::kFloat);
    CheckClose(kernel(spec, qkv, b, {0}, {0}, {}), kernel(spec, qkv, a, {0}, {0}, {}), 1e-6);
    CHECK_THROWS(kernel(spec, qkv.narrow(1, 0, 1), b, {0}, {12}, {}));
    // The last steps of the window alone would fit.
    CHECK_THROWS(kernel(spec, qkv.narrow(1, 0, 12), b, {0}, {1}, {}));
    CHECK_NOTHROW(kernel(spec, qkv.narrow(1, 0, 12), a, {0}, {25}, {}));
  }
}

// Slots of dialogues of other lengths: full rings that wrap, one longer than need be, short ones
// that are filled to the last step; who follows in a slot is another dialogue. Each gets what the
// definition says, by steps and by pieces, beside any others.
void CheckMixedLengths() {
  test::Seed(8);
  for (const RingRule rule : {RingRule::kMaskNextSlot, RingRule::kFull}) {
    for (const int block : {1, 2}) {
      for (const int dim : {6, 16}) {
        const RingAttentionSpec spec{.num_heads = 3,
                                     .head_dim = dim,
                                     .context = 11,
                                     .capacity = 11 + (rule == RingRule::kFull ? block - 1 : 0),
                                     .block = block,
                                     .rule = rule,
                                     .rope_max_period = 10000};
        CAPTURE(static_cast<int>(rule));
        CAPTURE(block);
        CAPTURE(dim);
        const at::Tensor frequencies = RopeInverseFrequencies(dim, spec.rope_max_period);
        const std::vector<int64_t> capacities{spec.capacity, 2 * int64_t{block}, 17, 8,
                                              spec.capacity};
        // The dialogues of each slot.
        const std::vector<std::vector<int64_t>> lengths{{28, 6}, {2, 2, 2}, {34}, {8, 4, 6}, {12}};
        struct Dialogue {
          at::Tensor qkv;
          at::Tensor expected;
        };
        std::vector<std::vector<Dialogue>> dialogues;
        for (const std::vector<int64_t>& of_slot : lengths) {
          dialogues.emplace_back();
          for (const int64_t length : of_slot) {
            const at::Tensor qkv = RandomQkv(1, length, spec);
            dialogues.back().push_back({qkv, Definition(spec, qkv[0])});
          }
        }
        for (const auto kernel : {RingAttentionPlain, RingAttentionCpu}) {
          CAPTURE(kernel == RingAttentionCpu);
          OwnRings rings(spec, capacities, at::kFloat);
          std::vector<size_t> current(5, 0);
          std::vector<int64_t> offset(5, 0);
          for (int round = 0; round < 40; ++round) {
            // In another order each time; two steps at once where that is a call of a block or two.
            const int64_t steps = block == 2 ? 2 : 1 + round % 2;
            SlotIds slots;
            std::vector<int64_t> offsets;
            std::vector<at::Tensor> inputs;
            std::vector<at::Tensor> expected;
            for (int i = 0; i < 6; ++i) {
              const int slot = (i + round) % 6;
              const auto at_slot = static_cast<size_t>(slot);
              if (slot == 5 || (slot == 1 && round % 3 == 0) ||
                  current[at_slot] == dialogues[at_slot].size() ||
                  offset[at_slot] + steps > lengths[at_slot][current[at_slot]]) {
                slots.push_back(kPadding);
                offsets.push_back(0);
                inputs.push_back(RandomQkv(1, steps, spec));
                expected.emplace_back();
                continue;
              }
              const Dialogue& dialogue = dialogues[at_slot][current[at_slot]];
              slots.push_back(slot);
              offsets.push_back(offset[at_slot]);
              inputs.push_back(dialogue.qkv.narrow(1, offset[at_slot], steps));
              expected.push_back(dialogue.expected.narrow(0, offset[at_slot], steps));
              offset[at_slot] += steps;
              if (offset[at_slot] == lengths[at_slot][current[at_slot]]) {
                ++current[at_slot];
                offset[at_slot] = 0;
              }
            }
            const at::Tensor out =
                kernel(spec, at::cat(inputs), rings, slots, offsets, frequencies);
            for (size_t row = 0; row < expected.size(); ++row) {
              if (!expected[row].defined()) continue;
              CheckClose(out[static_cast<int64_t>(row)], expected[row], 1e-5);
            }
          }
          for (size_t slot = 0; slot < lengths.size(); ++slot) {
            CHECK(current[slot] == lengths[slot].size());
          }
        }
      }
    }
  }
}

// Ten slots, one without a dialogue, over rings that wrap and rings that do not.
void CheckBesideProjection(kernels::WeightForm form, at::ScalarType type, int block, int dim) {
  CAPTURE(kernels::Name(form));
  CAPTURE(block);
  CAPTURE(dim);
  const RingAttentionSpec spec{.num_heads = 5,
                               .head_dim = dim,
                               .context = 9,
                               .capacity = 9 + block - 1,
                               .block = block,
                               .rule = RingRule::kFull,
                               .rope_max_period = 10000};
  const at::Tensor frequencies = RopeInverseFrequencies(dim, spec.rope_max_period);
  const Linear in_proj = test::PackedLinear(at::randn({3 * 5 * dim, 70}), form);
  const Capacities capacities{10, 4, 10, 10, 26, 10, 10, 2, 10, 10};
  OwnRings apart(spec, capacities, type);
  OwnRings beside(spec, capacities, type);
  const SlotIds slots{3, 1, 0, kPadding, 4, 5, 9, 8, 2, 6};
  for (int64_t step = 0; step < 24; step += block) {
    std::vector<int64_t> offsets;
    for (const int slot : slots) {
      const int64_t capacity = slot == kPadding ? 1 : capacities[static_cast<size_t>(slot)];
      // A ring that is too short to wrap begins anew.
      offsets.push_back(slot == kPadding           ? 0
                        : capacity < spec.capacity ? step % capacity / block * block
                                                   : (slot % 3) * block + step);
    }
    const at::Tensor x = at::randn({10, block, 70}).to(type);
    const at::Tensor a =
        RingAttentionCpu(spec, in_proj(x).view({10, block, 3, spec.num_heads, dim}), apart, slots,
                         offsets, frequencies);
    CheckEqual(ProjectAndAttendCpu(spec, in_proj, x, beside, slots, offsets, frequencies), a);
  }
  CheckEqual(beside.keys, apart.keys);
  CheckEqual(beside.values, apart.values);
}

TEST_CASE("attention beside the projection has the bits that it has after it") {
  test::Seed(10);
  test::ForEachIsa([] {
    for (const int block : {1, 2}) {
      for (const int dim : {64, 128}) {
        CheckBesideProjection(kernels::WeightForm::kF32, at::kFloat, block, dim);
        CheckBesideProjection(kernels::WeightForm::kBf16, at::kBFloat16, block, dim);
        CheckBesideProjection(kernels::WeightForm::kInt8, at::kBFloat16, block, dim);
      }
    }
  });
}

TEST_CASE("attention goes beside the projection where that can be faster") {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  RingAttentionSpec spec{.num_heads = 4, .head_dim = 64, .context = 8, .capacity = 8};
  const Linear packed = test::PackedLinear(at::ones({3 * 256, 32}), kernels::WeightForm::kF32);
  CHECK(AttendsBesideProjection(spec, packed, at::ones({24, 1, 32})));
  CHECK_FALSE(AttendsBesideProjection(spec, packed, at::ones({1, 24, 32})));
  CHECK_FALSE(
      AttendsBesideProjection(spec, Linear(at::ones({3 * 256, 32})), at::ones({24, 1, 32})));
  spec.head_dim = 32;
  CHECK_FALSE(AttendsBesideProjection(spec, packed, at::ones({24, 1, 32})));
  spec.head_dim = 64;
  spec.num_heads = 3;
  CHECK_FALSE(AttendsBesideProjection(spec, packed, at::ones({24, 1, 32})));
  at::set_num_threads(before);
}

TEST_CASE("rings of other lengths side by side give the definition, as dialogues come and go") {
  test::ForEachIsa(CheckMixedLengths);
}

TEST_CASE("the length of a ring, and of those beside it, changes no bit") {
  test::Seed(9);
  const RingAttentionSpec spec{
      .num_heads = 3, .head_dim = 22, .context = 40, .capacity = 40, .rope_max_period = 10000};
  const at::Tensor frequencies = RopeInverseFrequencies(spec.head_dim, spec.rope_max_period);
  OwnRings equal(spec, 3, at::kBFloat16);
  OwnRings mixed(spec, Capacities{40, 15, 60}, at::kBFloat16);
  for (int64_t step = 0; step < 90; ++step) {
    const at::Tensor qkv = RandomQkv(3, 1, spec).to(at::kBFloat16);
    const std::vector<int64_t> offsets{step, step % 15, step};
    CheckEqual(RingAttentionCpu(spec, qkv, mixed, {0, 1, 2}, offsets, frequencies),
               RingAttentionCpu(spec, qkv, equal, {0, 1, 2}, offsets, frequencies));
  }
}

TEST_CASE("a kernel is trusted where it agrees with the plain path in every type, rule and size") {
  CHECK(AgreesWithPlain(RingAttentionCpu, at::kCPU));
  CHECK_FALSE(AgreesWithPlain(
      [](const RingAttentionSpec& spec, const at::Tensor& qkv, const Rings& rings,
         const SlotIds& slots, const std::vector<int64_t>& offsets, const at::Tensor& frequencies) {
        RingAttentionSpec other = spec;
        if (qkv.scalar_type() == at::kBFloat16 && spec.head_dim == 128) --other.context;
        return RingAttentionCpu(other, qkv, rings, slots, offsets, frequencies);
      },
      at::kCPU));
}

}  // namespace
}  // namespace ppx::nn
