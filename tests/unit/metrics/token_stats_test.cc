#include "metrics/token_stats.h"

#include <vector>

#include "support/doctest.h"

namespace ppx::metrics {
namespace {

TEST_CASE("runs of equal frames") {
  const auto longest = [](const std::vector<int32_t>& tokens) {
    return LongestRepeat({tokens, 2});
  };
  CHECK(longest({}) == 0);
  CHECK(longest({1, 2}) == 1);
  CHECK(longest({1, 2, 1, 3, 1, 2}) == 1);  // one codebook differs
  CHECK(longest({1, 2, 1, 2, 3, 3, 3, 3, 3, 3, 1, 2}) == 3);
}

TEST_CASE("entropy of the first codebook") {
  const std::vector<int32_t> varied{0, 9, 1, 9, 2, 9, 3, 9};
  CHECK(*LeastEntropyBits({varied, 2}, 4) == doctest::Approx(2));
  CHECK(*LeastEntropyBits({varied, 2}, 2) == doctest::Approx(1));
  CHECK_FALSE(LeastEntropyBits({varied, 2}, 5));
  CHECK_FALSE(LeastEntropyBits({varied, 2}, 0));
  // Three quarters of one token: 0.811 bits; the window that holds only it: 0.
  const std::vector<int32_t> stuck{5, 6, 7, 7, 7, 7};
  CHECK(*LeastEntropyBits({stuck, 1}, 4) == doctest::Approx(0));
  CHECK(*LeastEntropyBits({{stuck.data() + 1, 4}, 1}, 4) == doctest::Approx(0.811278));
}

}  // namespace
}  // namespace ppx::metrics
