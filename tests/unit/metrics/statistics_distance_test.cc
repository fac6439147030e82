#include "metrics/distance.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::metrics {
namespace {

using testing::ErrorOf;
using Values = std::vector<double>;

const double kFarthest = std::sqrt(std::numbers::ln2);

// scipy.spatial.distance.jensenshannon of SciPy 1.17.
TEST_CASE("Jensen-Shannon distances") {
  const auto check = [](const Values& p, const Values& q, double expected) {
    CHECK(JensenShannonDistance(p, q) == doctest::Approx(expected).epsilon(1e-13));
    CHECK(JensenShannonDistance(q, p) == doctest::Approx(expected).epsilon(1e-13));
  };
  check({1, 0}, {0, 1}, kFarthest);
  check({1, 2, 3}, {3, 2, 1}, 0.29531004717204934);
  check({0.5, 0.5, 0}, {0.1, 0.2, 0.7}, 0.5904104181797725);
  check({1, 0, 0, 0}, {1, 1, 1, 1}, 0.6167622441821304);
}

TEST_CASE("only the shares count") {
  CHECK(JensenShannonDistance(Values{1, 2, 3}, Values{1, 2, 3}) == 0);
  CHECK(JensenShannonDistance(Values{1, 2, 5}, Values{4, 8, 20}) == doctest::Approx(0));
  CHECK(JensenShannonDistance(Values{5}, Values{0.1}) == 0);
  CHECK(JensenShannonDistance(Values{100, 0}, Values{0, 1e-9}) ==
        doctest::Approx(kFarthest).epsilon(1e-14));
}

TEST_CASE("the Jensen-Shannon distance is a metric with a maximum") {
  std::vector<Values> distributions;
  for (int k = 0; k < 6; ++k) {
    distributions.push_back({});
    for (int i = 0; i < 5; ++i) distributions.back().push_back(1.0 + (i + 2) * (k + 1) * 7 % 11);
  }
  for (const auto& p : distributions) {
    for (const auto& q : distributions) {
      CHECK(JensenShannonDistance(p, q) <= kFarthest);
      for (const auto& r : distributions) {
        CHECK(JensenShannonDistance(p, r) <=
              JensenShannonDistance(p, q) + JensenShannonDistance(q, r) + 1e-12);
      }
    }
  }
}

TEST_CASE("what is not a distribution") {
  constexpr auto kInternal = base::ErrorCode::kInternal;
  const Values good{1, 2};
  CHECK(ErrorOf([&] { JensenShannonDistance(good, Values{1, 2, 3}); }).code == kInternal);
  CHECK(ErrorOf([&] { JensenShannonDistance(Values{}, Values{}); }).code == kInternal);
  for (const Values& bad : {Values{0, 0}, Values{-1, 2}, Values{NAN, 1}, Values{INFINITY, 1}}) {
    CHECK(ErrorOf([&] { JensenShannonDistance(good, bad); }).code == kInternal);
    CHECK(ErrorOf([&] { JensenShannonDistance(bad, good); }).code == kInternal);
  }
}

// scipy.stats.wasserstein_distance of SciPy 1.17.
TEST_CASE("earth mover's distances") {
  const auto check = [](const Values& a, const Values& b, double expected) {
    CHECK(WassersteinDistance(a, b) == doctest::Approx(expected).epsilon(1e-14));
    CHECK(WassersteinDistance(b, a) == doctest::Approx(expected).epsilon(1e-14));
  };
  check({0, 1, 3}, {5, 6, 8}, 5.0);
  check({1, 2, 3.5}, {0.5, 4}, 0.9166666666666666);
  check({-0.2, 0.1, 0.4, 1.3}, {0.0, 0.25, 0.25}, 0.38333333333333336);
  check({7}, {7}, 0.0);
}

TEST_CASE("lists of one length: the mean distance of their order statistics") {
  const Values a{3.5, -1, 2, 2, 10, 0.25};
  const Values b{4, 4, -7, 1.5, 0, 2.25};
  Values x = a;
  Values y = b;
  std::sort(x.begin(), x.end());
  std::sort(y.begin(), y.end());
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::abs(x[i] - y[i]);
  CHECK(WassersteinDistance(a, b) == doctest::Approx(sum / 6).epsilon(1e-14));
  CHECK(WassersteinDistance(a, b) == WassersteinDistance(x, y));
}

TEST_CASE("a list that is repeated has the same distribution") {
  const Values a{1, 2, 4};
  const Values twice{4, 1, 2, 2, 1, 4};
  CHECK(WassersteinDistance(a, twice) == doctest::Approx(0));
  CHECK(WassersteinDistance(a, Values{0}) == doctest::Approx(7.0 / 3).epsilon(1e-14));
  CHECK(WassersteinDistance(twice, Values{0}) == doctest::Approx(7.0 / 3).epsilon(1e-14));
}

TEST_CASE("what has no earth to move") {
  constexpr auto kInternal = base::ErrorCode::kInternal;
  CHECK(ErrorOf([] { WassersteinDistance(Values{}, Values{1}); }).code == kInternal);
  CHECK(ErrorOf([] { WassersteinDistance(Values{1}, Values{}); }).code == kInternal);
  CHECK(ErrorOf([] { WassersteinDistance(Values{1, NAN}, Values{1}); }).code == kInternal);
  CHECK(ErrorOf([] { WassersteinDistance(Values{1}, Values{-INFINITY}); }).code == kInternal);
}

}  // namespace
}  // namespace ppx::metrics
