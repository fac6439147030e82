#include "lm/sampler.h"

#include <cmath>
#include <limits>
#include <set>

#include <ATen/core/PhiloxRNGEngine.h>

#include "support/doctest_torch.h"
#include "support/seed.h"

namespace ppx::lm {
namespace {

TEST_CASE("the generator is Philox 4x32-10: known answers of its authors") {
  // kat_vectors of Random123: counter 0, key 0.
  at::Philox4_32 zero(0, 0, 0);
  CHECK(zero() == 0x6627e8d5U);
  CHECK(zero() == 0xe169c58dU);
  CHECK(zero() == 0xbc57ac4cU);
  CHECK(zero() == 0x9b00dbd8U);
  // All bits set.
  at::Philox4_32 ones(~0ULL, ~0ULL, ~0ULL);
  CHECK(ones() == 0x408f276dU);
}

TEST_CASE("a number is a function of seed, dialogue, frame and stream") {
  const RandomStream stream{.seed = 3, .dialogue = DialogueKey("a")};
  std::set<float> numbers;
  for (int64_t frame = 0; frame < 200; ++frame) {
    for (int k = 0; k < 9; ++k) {
      const float u = stream.Uniform(frame, k);
      CHECK(u >= 0.0F);
      CHECK(u < 1.0F);
      CHECK(u == RandomStream{.seed = 3, .dialogue = DialogueKey("a")}.Uniform(frame, k));
      numbers.insert(u);
    }
  }
  CHECK(numbers.size() > 1790);  // of 1800; 24 bits collide now and then
  CHECK(stream.Uniform(5, 1) != RandomStream{.seed = 4, .dialogue = stream.dialogue}.Uniform(5, 1));
  CHECK(stream.Uniform(5, 1) !=
        RandomStream{.seed = 3, .dialogue = DialogueKey("b")}.Uniform(5, 1));
}

TEST_CASE("greedy takes the likeliest, the first of equals") {
  const at::Tensor logits = at::tensor({0.F, 2.F, 2.F, 1.F, 5.F, 4.F, 5.F, 0.F}).view({2, 4});
  const at::Tensor tokens = SampleTokens(logits, {0, 0}, {3, 3}, {0.9F, 0.9F});
  CHECK(tokens[0].item<int64_t>() == 1);
  CHECK(tokens[1].item<int64_t>() == 0);
}

TEST_CASE(
    "tokens are drawn in proportion, among the likeliest k only, at the temperature asked for") {
  const at::Tensor logits = at::tensor({0.0F, 1.0F, 2.0F, 3.0F, -1.0F}).view({1, 5});
  const double temperature = 0.7;
  const int kept = 3;
  std::vector<double> expected(5, 0);
  double total = 0;
  for (const int token : {1, 2, 3}) total += std::exp(token / temperature);
  for (const int token : {1, 2, 3})
    expected[static_cast<size_t>(token)] = std::exp(token / temperature) / total;
  std::vector<int> count(5, 0);
  const int draws = 4000;
  const RandomStream random{.seed = 1, .dialogue = 0};
  for (int i = 0; i < draws; ++i) {
    const at::Tensor token = SampleTokens(logits, {temperature}, {kept}, {random.Uniform(i, 0)});
    ++count[static_cast<size_t>(token.item<int64_t>())];
  }
  for (size_t token = 0; token < 5; ++token) {
    // Five standard deviations of a binomial.
    const double sigma = std::sqrt(draws * expected[token] * (1 - expected[token]));
    CHECK(std::abs(count[token] - draws * expected[token]) <= 5 * sigma);
  }
  // The ends of the unit interval, and no limit at all.
  CHECK(SampleTokens(logits, {1.0}, {0}, {0.0F}).item<int64_t>() == 3);
  CHECK(SampleTokens(logits, {1.0}, {0}, {0.99999994F}).item<int64_t>() == 4);
  CHECK(SampleTokens(logits, {1.0}, {100}, {0.99999994F}).item<int64_t>() == 4);
}

TEST_CASE("rows have their own settings and do not see each other") {
  test::Seed(9);
  const at::Tensor logits = at::randn({3, 50});
  const std::vector<double> temperature{0.8, 0, 1.3};
  const std::vector<int> top_k{5, 1, 0};
  const std::vector<float> uniforms{0.3F, 0.5F, 0.77F};
  const at::Tensor together = SampleTokens(logits, temperature, top_k, uniforms);
  for (int64_t row = 0; row < 3; ++row) {
    const auto r = static_cast<size_t>(row);
    CHECK(together[row].item<int64_t>() ==
          SampleTokens(logits.narrow(0, row, 1), {temperature[r]}, {top_k[r]}, {uniforms[r]})
              .item<int64_t>());
  }
}

// Draws from every row with each of the settings and many uniforms, by both.
void CheckEqualsPlain(const at::Tensor& logits) {
  const int64_t card = logits.size(1);
  const RandomStream random{.seed = 5, .dialogue = 1};
  int64_t draw = 0;
  for (const double temperature : {0.7, 1.0, 3.0, 0.01, 1e-6, 1e-300, 0.0}) {
    for (const int top_k : {1, 2, 25, 250, static_cast<int>(card) - 1, static_cast<int>(card),
                            static_cast<int>(card) + 1, 0}) {
      if (top_k < 0) continue;
      for (int edge = 0; edge < 5; ++edge) {
        std::vector<double> temperatures;
        std::vector<int> kept;
        std::vector<float> uniforms;
        for (int64_t row = 0; row < logits.size(0); ++row) {
          temperatures.push_back(temperature);
          kept.push_back(top_k);
          uniforms.push_back(edge == 0   ? 0.0F
                             : edge == 1 ? 0.99999994F
                                         : random.Uniform(draw++, 0));
        }
        CAPTURE(card);
        CAPTURE(temperature);
        CAPTURE(top_k);
        const at::Tensor fast = SampleTokens(logits, temperatures, kept, uniforms);
        CHECK((fast.scalar_type() == at::kLong));
        CHECK(at::equal(fast, SampleTokensPlain(logits, temperatures, kept, uniforms)));
      }
    }
  }
}

TEST_CASE("one pass over the logits draws what the plain path draws") {
  test::Seed(11);
  for (const int64_t card : {1, 2, 7, 300, 2048}) {
    const at::Tensor logits = at::randn({4, card}) * 4;
    CheckEqualsPlain(logits);
    CheckEqualsPlain(logits.to(at::kBFloat16));  // many equals
    CheckEqualsPlain(logits.round());            // more of them, zeros of both signs
    CheckEqualsPlain(at::zeros({2, card}));
    // Rising and falling: every token displaces another, or none does.
    const at::Tensor rising = at::arange(card, at::kFloat).view({1, card}) * 0.01;
    CheckEqualsPlain(at::cat({rising, rising.flip(1)}));
  }
  CheckEqualsPlain(at::randn({2, 32000}));
  // Rows that do not lie one after another.
  CheckEqualsPlain(at::randn({3, 5, 40}).select(1, 2));
}

TEST_CASE("tokens that cannot be, or have no number, are drawn as by the plain path") {
  test::Seed(12);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  at::Tensor logits = at::randn({6, 60});
  logits[0].narrow(0, 5, 50).fill_(-kInfinity);
  logits[1].fill_(-kInfinity);
  logits[2][7] = kInfinity;
  logits[3][9] = std::numeric_limits<float>::quiet_NaN();
  logits[3][4] = -std::numeric_limits<float>::quiet_NaN();
  logits[4].fill_(std::numeric_limits<float>::quiet_NaN());
  logits[5] *= 1e38;
  CheckEqualsPlain(logits);
  // Only what is possible is drawn.
  for (int i = 0; i < 50; ++i) {
    const auto token =
        SampleTokens(logits.narrow(0, 0, 1), {1.0}, {0}, {RandomStream{.seed = 2}.Uniform(i, 0)})
            .item<int64_t>();
    CHECK((token < 5 || token >= 55));
  }
}

TEST_CASE("of equally likely tokens the lower ones are kept, and drawn in their order") {
  const at::Tensor logits = at::tensor({1.F, 3.F, 1.F, 3.F, 1.F, -0.F, 0.F}).view({1, 7});
  const auto draw = [&](int top_k, float uniform) {
    return SampleTokens(logits, {1e9}, {top_k}, {uniform}).item<int64_t>();
  };
  // So hot that all of them are equally likely.
  const std::vector<int64_t> order{1, 3, 0, 2, 4, 5, 6};
  for (int kept = 1; kept <= 7; ++kept) {
    for (int place = 0; place < kept; ++place) {
      CHECK(draw(kept, (static_cast<float>(place) + 0.5F) / static_cast<float>(kept)) ==
            order[static_cast<size_t>(place)]);
    }
  }
}

}  // namespace
}  // namespace ppx::lm
