// The bodies of the CUDA kernels, run on the host, against the plain operations that they replace.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernel_types.h"
#include "lm/cuda/step_program.h"
#include "lm/sampler.h"
#include "nn/ring_attention.h"
#include "nn/transformer.h"
#include "support/host_team.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::lm {
namespace {

using test::CheckClose;
using test::CheckEqual;
using test::Data;
using test::kTolerance;
using test::kType;
using test::RunSerial;
using test::RunThreads;

// By one thread, and by three groups of them.
template <class Kernel, class Test>
void WithTeams(const Kernel& kernel, const Test& test) {
  RunSerial(kernel);
  test();
  RunThreads(kernel, 48);
  test();
}

TEST_CASE("bfloat16 is stored and read as LibTorch does") {
  std::vector<float> numbers{0.0F,
                             -0.0F,
                             1.0F,
                             1e-45F,
                             -3.4e38F,
                             3.3961775e38F,
                             std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity()};
  // Halfway between neighbours, to the even one; and beside halfway.
  for (const uint32_t bits : {0x3f808000U, 0x3f818000U, 0x3f808001U, 0x3f817fffU, 0xc0007fffU}) {
    numbers.push_back(cuda::FloatOfBits(bits));
  }
  test::Seed(1);
  const at::Tensor random = at::randn({1000});
  numbers.insert(numbers.end(), random.const_data_ptr<float>(),
                 random.const_data_ptr<float>() + random.numel());
  for (const float x : numbers) {
    const auto expected = static_cast<float>(c10::BFloat16(x));
    CHECK(cuda::BitsOf(cuda::Stored<cuda::Bf16>(x)) == cuda::BitsOf(expected));
  }
  CHECK(std::isnan(cuda::Stored<cuda::Bf16>(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE_TEMPLATE("embedding sums are those of the plain step", T, float, cuda::Bf16) {
  test::Seed(2);
  for (const int dim : {5, 16, 1100}) {
    CAPTURE(dim);
    const int streams = 4;
    std::vector<at::Tensor> tables;
    std::vector<const T*> addresses;
    for (int s = 0; s < streams; ++s) {
      tables.push_back(at::randn({7, dim}).to(kType<T>));
      addresses.push_back(Data<T>(tables.back()));
    }
    const std::vector<int32_t> tokens{1, 2, 3, 4, -1, 6, -1, 0, -1, -1, -1, -1, 5, 5, 5, -1};
    const int rows = 4;
    std::vector<at::Tensor> expected;
    for (int row = 0; row < rows; ++row) {
      at::Tensor sum = at::zeros({dim}, kType<T>);
      for (const int s : {1, 2, 3, 0}) {
        const int32_t token = tokens[static_cast<size_t>(row * streams + s)];
        if (token >= 0) sum = sum + tables[static_cast<size_t>(s)][token];
      }
      expected.push_back(sum);
    }
    const at::Tensor output = at::empty({rows, dim}, kType<T>);
    const cuda::EmbedKernel<T> kernel{.tables = addresses.data(),
                                      .tokens = tokens.data(),
                                      .output = Data<T>(output),
                                      .rows = rows,
                                      .streams = streams,
                                      .dim = dim};
    WithTeams(kernel, [&] {
      CheckEqual(output, at::stack(expected));
      output.fill_(99);
    });
  }
}

TEST_CASE_TEMPLATE("a branch is added, and the sum normalised", T, float, cuda::Bf16) {
  test::Seed(3);
  const int rows = 3;
  for (const int dim : {5, 24, 520}) {
    for (const int mode : {0, 1, 2}) {  // nothing, a branch, rows of a table
      CAPTURE(dim);
      CAPTURE(mode);
      const at::Tensor start = at::randn({rows, dim}).to(kType<T>);
      const at::Tensor branch = at::randn({rows, dim}).to(kType<T>);
      const at::Tensor alpha = at::rand({dim}) + 0.5;
      const std::vector<int32_t> table_rows{2, 77, -1, 77, 0, 77};  // every second one is used
      at::Tensor sum = start;
      if (mode == 1) sum = start + branch;
      if (mode == 2) {
        sum = at::stack({start[0] + branch[2], start[1], start[2] + branch[0]});
      }
      const at::Tensor x = start.clone();
      const at::Tensor output = at::empty_like(x);
      const cuda::NormKernel<T> kernel{.x = Data<T>(x),
                                       .branch = mode == 0 ? nullptr : Data<T>(branch),
                                       .branch_rows = mode == 2 ? table_rows.data() : nullptr,
                                       .branch_stride = 2,
                                       .alpha = Data<float>(alpha),
                                       .output = Data<T>(output),
                                       .rows = rows,
                                       .dim = dim,
                                       .eps = static_cast<float>(nn::kRmsNormEps)};
      WithTeams(kernel, [&] {
        CheckEqual(x, sum);
        CheckClose(output, nn::RmsNorm(sum, alpha), kTolerance<T>);
        x.copy_(start);
        output.fill_(99);
      });
    }
  }
}

TEST_CASE_TEMPLATE("the gate", T, float, cuda::Bf16) {
  test::Seed(4);
  for (const int hidden : {3, 16, 1111}) {
    CAPTURE(hidden);
    const at::Tensor input = (at::randn({3, 2 * hidden}) * 4).to(kType<T>);
    const at::Tensor output = at::empty({3, hidden}, kType<T>);
    const cuda::GateKernel<T> kernel{
        .input = Data<T>(input), .output = Data<T>(output), .rows = 3, .hidden = hidden};
    WithTeams(kernel, [&] {
      CheckClose(output, nn::SiluGate(input), kTolerance<T>);
      output.fill_(99);
    });
  }
}

struct AttendCase {
  int heads;
  int dim;
  int context;
  int capacity;
  nn::RingRule rule;
  int splits;
  bool turns;
  std::vector<int64_t> capacities{};  // of the four slots; empty: all `capacity`
};

template <class T>
void CheckAttention(const AttendCase& c, int threads, int rounds) {
  at::set_num_threads(1);  // a second one costs more than these small sums
  CAPTURE(c.dim);
  CAPTURE(c.context);
  CAPTURE(c.splits);
  CAPTURE(threads);
  const nn::RingAttentionSpec spec{.num_heads = c.heads,
                                   .head_dim = c.dim,
                                   .context = c.context,
                                   .capacity = c.capacity,
                                   .block = 1,
                                   .rule = c.rule,
                                   .rope_max_period = 10000};
  const at::Tensor frequencies =
      c.turns ? nn::RopeInverseFrequencies(c.dim, spec.rope_max_period) : at::Tensor();
  // Slots with a past of different length; where the ring can wrap, one has wrapped twice.
  const bool wraps = c.capacity >= c.context;
  const bool equal = c.capacities.empty();
  std::vector<nn::RingPlace> places = nn::EqualPlaces(4, c.capacity);
  std::vector<int64_t> numbers;
  for (size_t slot = 0; !equal && slot < 4; ++slot) {
    places[slot].capacity = c.capacities[slot];
    if (slot > 0) places[slot].first = places[slot - 1].first + places[slot - 1].capacity;
    numbers.insert(numbers.end(), {places[slot].first, places[slot].capacity});
  }
  std::vector<int64_t> offset_of_slot{0, 3, wraps ? c.context - 1 : c.capacity - 5,
                                      wraps ? 2 * c.context + 1 : 1};
  const int64_t all_steps = places.back().first + places.back().capacity;
  at::Tensor plain_keys = at::zeros({c.heads * all_steps, c.dim}, kType<T>);
  at::Tensor plain_values = at::zeros_like(plain_keys);
  const nn::Rings plain{plain_keys, plain_values, places};
  for (int slot = 0; slot < 4; ++slot) {
    const int64_t past = offset_of_slot[static_cast<size_t>(slot)];
    if (past == 0) continue;
    nn::RingAttentionPlain(spec, at::randn({1, past, 3, c.heads, c.dim}).to(kType<T>), plain,
                           {slot}, {0}, frequencies);
  }
  const at::Tensor keys = plain_keys.clone();
  const at::Tensor values = plain_values.clone();
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    const nn::SlotIds slots{2, nn::kPadding, 0, 3, 1};
    std::vector<int64_t> offsets;
    std::vector<int32_t> positions;
    for (const int slot : slots) {
      offsets.push_back(slot == nn::kPadding ? 0 : offset_of_slot[static_cast<size_t>(slot)]++);
      positions.push_back(static_cast<int32_t>(offsets.back()));
    }
    const at::Tensor qkv = at::randn({5, 1, 3, c.heads, c.dim}).to(kType<T>);
    const at::Tensor expected =
        nn::RingAttentionPlain(spec, qkv, plain, slots, offsets, frequencies);
    const at::Tensor output = at::full({5, 1, int64_t{c.heads} * c.dim}, 99).to(kType<T>);
    at::Tensor partial = at::full({5, c.heads, c.splits, c.dim + 2}, 99, at::kFloat);
    const cuda::AttendKernel<T> attend{
        .qkv = Data<T>(qkv),
        .keys = Data<T>(keys),
        .values = Data<T>(values),
        .places = equal ? nullptr : numbers.data(),
        .slots = slots.data(),
        .positions = positions.data(),
        .position = -1,
        .frequencies = c.turns ? frequencies.const_data_ptr<float>() : nullptr,
        .output = Data<T>(output),
        .partial = partial.data_ptr<float>(),
        .rows = 5,
        .heads = c.heads,
        .dim = c.dim,
        .capacity = c.capacity,
        .context = c.context,
        .mask_next_slot = c.rule == nn::RingRule::kMaskNextSlot,
        .splits = c.splits};
    const cuda::CombineKernel<T> combine{.partial = partial.const_data_ptr<float>(),
                                         .output = Data<T>(output),
                                         .rows = 5,
                                         .heads = c.heads,
                                         .dim = c.dim,
                                         .splits = c.splits};
    const auto run = [&](const auto& kernel) {
      threads == 1 ? RunSerial(kernel) : RunThreads(kernel, threads);
    };
    run(attend);
    if (c.splits > 1) run(combine);
    for (const int64_t row : {0, 2, 3, 4}) {
      CheckClose(output[row], expected[row], 2 * kTolerance<T>);
    }
    CheckEqual(output[1], at::zeros_like(output[1]));
    // The rotation's sines come from another library.
    CheckClose(keys, plain_keys, kTolerance<T>);
    CheckEqual(values, plain_values);
  }
}

TEST_CASE_TEMPLATE("one step of ring attention", T, float, cuda::Bf16) {
  test::Seed(5);
  using nn::RingRule;
  for (const RingRule rule : {RingRule::kMaskNextSlot, RingRule::kFull}) {
    for (const int splits : {1, 3}) {
      for (const int dim : {6, 8, 128}) {
        for (const int context : {5, 31}) {
          CheckAttention<T>({2, dim, context, context, rule, splits, dim != 8}, 1, 12);
        }
      }
    }
    CheckAttention<T>({1, 8, 100, 111, rule, 1, true}, 1, 5);  // a ring longer than the window
    CheckAttention<T>({1, 8, 40, 44, rule, 2, true}, 1, 5);
  }
}

TEST_CASE_TEMPLATE("one step of ring attention by many threads", T, float, cuda::Bf16) {
  test::Seed(5);
  CheckAttention<T>({1, 24, 13, 13, nn::RingRule::kFull, 1, true}, 32, 1);
  CheckAttention<T>({1, 128, 9, 9, nn::RingRule::kMaskNextSlot, 2, true}, 64, 1);
}

TEST_CASE("a ring shorter than the window, of a dialogue that fits") {
  test::Seed(6);
  CheckAttention<float>({2, 8, 30, 20, nn::RingRule::kMaskNextSlot, 2, true}, 1, 5);
}

TEST_CASE_TEMPLATE("rings of a length of their own for each slot", T, float, cuda::Bf16) {
  test::Seed(8);
  for (const nn::RingRule rule : {nn::RingRule::kMaskNextSlot, nn::RingRule::kFull}) {
    for (const int splits : {1, 3}) {
      for (const int dim : {6, 8, 128}) {
        // The second slot ends as full as it can be; the last one wraps, or would had it to.
        CheckAttention<T>({2, dim, 13, 13, rule, splits, dim != 8, {5, 9, 17, 13}}, 1, 5);
      }
    }
  }
  CheckAttention<T>({1, 24, 13, 13, nn::RingRule::kFull, 2, true, {3, 8, 14, 13}}, 32, 2);
}

TEST_CASE("one position for all rows, each its own slot") {
  test::Seed(7);
  const nn::RingAttentionSpec spec{
      .num_heads = 2, .head_dim = 8, .context = 4, .capacity = 4, .block = 1};
  const std::vector<nn::RingPlace> places = nn::EqualPlaces(3, 4);
  at::Tensor plain_keys = at::zeros({3, 2, 4, 8});
  at::Tensor plain_values = at::zeros({3, 2, 4, 8});
  // What the frame before left behind is never seen.
  const at::Tensor keys = at::full({3, 2, 4, 8}, std::nanf(""));
  const at::Tensor values = at::full({3, 2, 4, 8}, std::nanf(""));
  for (int step = 0; step < 4; ++step) {
    CAPTURE(step);
    const at::Tensor qkv = at::randn({3, 1, 3, 2, 8});
    const at::Tensor expected = nn::RingAttentionPlain(
        spec, qkv, {plain_keys, plain_values, places}, {0, 1, 2}, {step, step, step}, at::Tensor());
    const at::Tensor output = at::empty({3, 1, 16});
    RunSerial(cuda::AttendKernel<float>{.qkv = qkv.const_data_ptr<float>(),
                                        .keys = keys.data_ptr<float>(),
                                        .values = values.data_ptr<float>(),
                                        .places = nullptr,
                                        .slots = nullptr,
                                        .positions = nullptr,
                                        .position = step,
                                        .frequencies = nullptr,
                                        .output = output.data_ptr<float>(),
                                        .partial = nullptr,
                                        .rows = 3,
                                        .heads = 2,
                                        .dim = 8,
                                        .capacity = 4,
                                        .context = 4,
                                        .mask_next_slot = true,
                                        .splits = 1});
    CheckClose(output, expected, 2e-6);
  }
}

TEST_CASE("keys are in the order of their logits") {
  const std::vector<float> rising{
      -std::numeric_limits<float>::infinity(), -2.5F, -1e-30F, 0.0F, 1e-30F, 2.5F,
      std::numeric_limits<float>::infinity()};
  for (size_t i = 0; i < rising.size(); ++i) {
    const uint32_t key = cuda::OrderedKey(rising[i]);
    const cuda::Bf16 narrow = cuda::FromFloat<cuda::Bf16>(rising[i]);
    const uint32_t narrow_key = cuda::OrderedKey(narrow);
    CHECK(cuda::ValueOfKey(key, 32) == rising[i]);
    CHECK(cuda::ValueOfKey(narrow_key, 16) == cuda::ToFloat(narrow));
    if (i == 0) continue;
    CHECK(key > cuda::OrderedKey(rising[i - 1]));
    CHECK(narrow_key > cuda::OrderedKey(cuda::FromFloat<cuda::Bf16>(rising[i - 1])));
  }
  CHECK(cuda::OrderedKey(-0.0F) == cuda::OrderedKey(0.0F));
}

TEST_CASE("a share of a sum is exact") {
  CHECK(cuda::ShareOf(1000, 0.0F) == 0);
  CHECK(cuda::ShareOf(1000, 0.5F) == 500);
  CHECK(cuda::ShareOf(3, 0.5F) == 1);
  const uint64_t large = uint64_t{cuda::kLargestCard} << 44;  // the largest sum of weights
  CHECK(cuda::ShareOf(large, 0.5F) == large / 2);
  CHECK(cuda::ShareOf(large + 1, 0.99999994F) < large + 1);
  CHECK(cuda::ShareOf(large, 0.99999994F) == large - (large >> 24));
}

struct Draw {
  double temperature;
  int top_k;
  float uniform;
};

// One row for each draw; stream 1 of 3.
template <class T>
std::vector<int64_t> Sample(const at::Tensor& logits, const std::vector<Draw>& draws,
                            std::vector<int32_t> fixed = {}, int threads = 1) {
  const auto rows = static_cast<int>(draws.size());
  if (fixed.empty()) fixed.assign(draws.size(), kUngenerated);
  std::vector<int32_t> all_fixed(3 * draws.size(), 7);
  std::vector<int32_t> chosen(3 * draws.size(), -9);
  std::vector<float> uniforms(3 * draws.size(), std::nanf(""));
  std::vector<float> temperature;
  std::vector<int32_t> top_k;
  for (size_t row = 0; row < draws.size(); ++row) {
    all_fixed[3 * row + 1] = fixed[row];
    uniforms[3 * row + 1] = draws[row].uniform;
    temperature.push_back(static_cast<float>(draws[row].temperature));
    top_k.push_back(draws[row].top_k);
  }
  const cuda::SampleKernel<T> kernel{.logits = Data<T>(logits),
                                     .fixed = all_fixed.data() + 1,
                                     .temperature = temperature.data(),
                                     .top_k = top_k.data(),
                                     .uniforms = uniforms.data() + 1,
                                     .chosen = chosen.data() + 1,
                                     .stride = 3,
                                     .not_fixed = kUngenerated,
                                     .rows = rows,
                                     .card = static_cast<int>(logits.size(1))};
  threads == 1 ? RunSerial(kernel) : RunThreads(kernel, threads);
  std::vector<int64_t> tokens;
  for (size_t row = 0; row < draws.size(); ++row) {
    tokens.push_back(chosen[3 * row + 1]);
    CHECK(chosen[3 * row] == -9);
    CHECK(chosen[3 * row + 2] == -9);
  }
  return tokens;
}

std::vector<Draw> ManyDraws(int rows, uint64_t seed) {
  const RandomStream random{.seed = seed, .dialogue = 1};
  std::vector<Draw> draws;
  for (int row = 0; row < rows; ++row) {
    const int top_k[] = {0, 1, 2, 5, 25, 250, 100000};
    draws.push_back({.temperature = row % 5 == 0 ? 0.0 : 0.3 + 0.4 * (row % 4),
                     .top_k = top_k[row % 7],
                     .uniform = random.Uniform(row, 0)});
  }
  return draws;
}

// The plain sampler's, row by row.
std::vector<int64_t> PlainSample(const at::Tensor& logits, const std::vector<Draw>& draws) {
  std::vector<int64_t> tokens;
  for (size_t row = 0; row < draws.size(); ++row) {
    tokens.push_back(SampleTokens(logits.narrow(0, static_cast<int64_t>(row), 1),
                                  {draws[row].temperature}, {draws[row].top_k},
                                  {draws[row].uniform})
                         .item<int64_t>());
  }
  return tokens;
}

TEST_CASE("float32: the tokens are the plain sampler's") {
  test::Seed(8);
  for (const int card : {1, 2, 3, 20, 97, 2048}) {
    CAPTURE(card);
    const std::vector<Draw> draws = ManyDraws(140, static_cast<uint64_t>(card));
    const at::Tensor logits = at::randn({140, card}) * 3;
    CHECK(Sample<float>(logits, draws) == PlainSample(logits, draws));
  }
}

TEST_CASE("bfloat16: the tokens are the plain sampler's, or others of the same logit") {
  test::Seed(9);
  for (const int card : {3, 20, 2048}) {
    CAPTURE(card);
    const std::vector<Draw> draws = ManyDraws(140, static_cast<uint64_t>(card));
    const at::Tensor logits = (at::randn({140, card}) * 3).to(at::kBFloat16);
    const auto tokens = Sample<cuda::Bf16>(logits, draws);
    const auto plain = PlainSample(logits, draws);
    for (size_t row = 0; row < draws.size(); ++row) {
      const auto r = static_cast<int64_t>(row);
      CHECK(logits[r][tokens[row]].item<float>() == logits[r][plain[row]].item<float>());
    }
  }
}

TEST_CASE("equal logits are drawn in the order of their index, and cut there by the top k") {
  const at::Tensor logits = at::tensor({1.F, 3.F, 3.F, 0.F, 3.F, 1.F}).view({1, 6}).repeat({4, 1});
  CHECK((Sample<float>(logits, {{1, 3, 0.1F}, {1, 3, 0.4F}, {1, 3, 0.7F}, {1, 3, 0.99F}}) ==
         std::vector<int64_t>{1, 2, 4, 4}));
  CHECK((Sample<float>(logits, {{1, 2, 0.1F}, {1, 2, 0.6F}, {1, 2, 0.99F}, {0, 2, 0.99F}}) ==
         std::vector<int64_t>{1, 2, 2, 1}));
  // With the fourth kept, the first of those that are equal to it.
  CHECK(
      (Sample<float>(
           logits, {{1, 4, 0.99999994F}, {1, 5, 0.99999994F}, {1, 0, 0.99999994F}, {1, 0, 0.0F}}) ==
       std::vector<int64_t>{0, 5, 3, 1}));
}

TEST_CASE("a given token is taken as it is") {
  const at::Tensor logits = at::zeros({3, 5});
  CHECK((Sample<float>(logits, {{1, 0, 0.5F}, {1, 0, 0.5F}, {0, 0, 0.5F}}, {-1, 3, kUngenerated}) ==
         std::vector<int64_t>{-1, 3, 0}));
}

TEST_CASE("whatever the logits are, the token is within the card") {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::nanf("");
  const std::vector<std::vector<float>> rows{
      {nan, nan, nan},  {nan, 1, 2},        {-inf, -inf, -inf}, {inf, 1, inf},
      {-inf, nan, inf}, {3e38F, -3e38F, 0}, {1e-45F, 0, -0.F},  {-nan, -nan, 1.0F}};
  for (const auto& row : rows) {
    const at::Tensor logits = at::tensor(row).view({1, 3}).repeat({4, 1});
    for (const int64_t token : Sample<float>(
             logits, {{0, 0, 0}, {1e-30, 2, 0.9F}, {1, 0, 0.99999994F}, {1e30, 3, 0.5F}})) {
      CHECK(token >= 0);
      CHECK(token < 3);
    }
  }
}

TEST_CASE("a block of threads draws what one thread draws") {
  test::Seed(10);
  const std::vector<Draw> draws{{0.8, 25, 0.4F}, {1.3, 0, 0.9F}};
  const at::Tensor logits = at::randn({2, 333});
  CHECK(Sample<float>(logits, draws, {}, 48) == Sample<float>(logits, draws));
  const at::Tensor narrow = logits.to(at::kBFloat16);
  CHECK(Sample<cuda::Bf16>(narrow, draws, {}, 32) == Sample<cuda::Bf16>(narrow, draws));
}

}  // namespace
}  // namespace ppx::lm
