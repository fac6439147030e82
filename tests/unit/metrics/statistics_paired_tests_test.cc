#include "metrics/paired_tests.h"

#include <algorithm>
#include <boost/random/mersenne_twister.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::metrics {
namespace {

using Json = nlohmann::json;
using Maybe = std::optional<double>;
using testing::ErrorOf;

constexpr auto kInternal = base::ErrorCode::kInternal;

// Heights of 15 pairs of plants in eighths of an inch (Darwin 1876), the example of Fisher's "The
// Design of Experiments" (1935).
const std::vector<double> kPlants{49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48};

// scipy.stats.binomtest(min, sum).pvalue of SciPy 1.17.
TEST_CASE("McNemar's exact test") {
  CHECK(McNemarExact(1, 9) == doctest::Approx(0.021484375).epsilon(1e-12));
  CHECK(McNemarExact(0, 5) == doctest::Approx(0.0625).epsilon(1e-12));
  CHECK(McNemarExact(10, 25) == doctest::Approx(0.016673847800120715).epsilon(1e-12));
  CHECK(McNemarExact(121, 59) == doctest::Approx(4.4344492637551645e-06).epsilon(1e-12));
  CHECK(McNemarExact(59, 121) == McNemarExact(121, 59));
}

TEST_CASE("McNemar's test where the runs hardly differ") {
  CHECK(McNemarExact(0, 0) == 1);
  CHECK(McNemarExact(1, 0) == 1);
  CHECK(McNemarExact(5, 5) == 1);
  CHECK(McNemarExact(3, 4) == 1);
  CHECK(ErrorOf([] { McNemarExact(-1, 5); }).code == kInternal);
  CHECK(ErrorOf([] { McNemarExact(5, -1); }).code == kInternal);
}

TEST_CASE("the sign test") {
  CHECK(SignTest(kPlants) == doctest::Approx(0.00738525390625).epsilon(1e-12));  // 2 of 15
  CHECK(SignTest(std::vector{0.0, 3.0, -0.0, 1.0, 2.0, 0.5, 9.0}) ==
        doctest::Approx(0.0625).epsilon(1e-12));
  CHECK(SignTest(std::vector{-3.0, -1.0, -2.0, -0.5, -9.0}) ==
        doctest::Approx(0.0625).epsilon(1e-12));
  CHECK(SignTest({}) == 1);
  CHECK(SignTest(std::vector{0.0, 0.0}) == 1);
  CHECK(ErrorOf([] { SignTest(std::vector{1.0, std::nan("")}); }).code == kInternal);
}

// scipy.stats.permutation_test(permutation_type="samples") over all patterns. For Darwin's plants
// Fisher counted the same 863 patterns of 32 768 on one side.
TEST_CASE("the permutation test over all sign patterns") {
  const PermutationResult plants = PairedPermutation(kPlants);
  CHECK(plants.exact);
  CHECK(plants.p == 2 * 863.0 / 32768);
  const PermutationResult eight =
      PairedPermutation(std::vector{1.2, -0.4, 2.5, 0.3, -1.1, 1.9, 0.8, 2.2});
  CHECK(eight.exact);
  CHECK(eight.p == 0.1015625);
}

TEST_CASE("small permutation tests by hand") {
  CHECK(PairedPermutation({}).p == 1);
  CHECK(PairedPermutation({}).exact);
  CHECK(PairedPermutation(std::vector{0.0, 0.0}).p == 1);
  CHECK(PairedPermutation(std::vector{3.0}).p == 1);
  CHECK(PairedPermutation(std::vector{1.0, 2.0}).p == 0.5);
  CHECK(PairedPermutation(std::vector{1.0, -2.0}).p == 1);
  CHECK(PairedPermutation(std::vector{1.0, 2.0, 4.0, 0.0}).p == 0.25);
  CHECK(PairedPermutation(std::vector<double>(16, 1.0)).p == std::ldexp(1.0, -15));
}

TEST_CASE("up to 16 differences that are not 0 the test is exact") {
  std::vector<double> differences(16, 1.0);
  CHECK(PairedPermutation(differences).exact);
  differences.push_back(0.0);
  CHECK(PairedPermutation(differences).exact);
  CHECK(PairedPermutation(differences).p == std::ldexp(1.0, -15));
  differences.push_back(1.0);
  CHECK_FALSE(PairedPermutation(differences).exact);
}

// 0.1398087 over all 2^20 patterns, counted with NumPy. The deviation of the estimate is 0.0035
// with 10 000 patterns, 0.0011 with 100 000.
TEST_CASE("the permutation test over random sign patterns") {
  const std::vector<double> differences{0.3,   -0.12, 0.5,  0.04,  -0.33, 0.21, 0.18,
                                        -0.05, 0.44,  0.09, -0.27, 0.15,  0.36, -0.02,
                                        0.07,  0.11,  -0.4, 0.25,  0.02,  0.13};
  const PermutationResult result = PairedPermutation(differences);
  CHECK_FALSE(result.exact);
  CHECK(std::abs(result.p - 0.1398087) < 0.01);
  CHECK(std::abs(PairedPermutation(differences, 100'000).p - 0.1398087) < 0.0035);
  CHECK(PairedPermutation(differences, 10'000, 2).p != result.p);
  CHECK(PairedPermutation(differences, 10'000, 1).p == result.p);
  // More differences than one random word has bits. Of equal magnitudes only the signs count.
  std::vector<double> many(70, 0.5);
  std::fill_n(many.begin(), 26, -0.5);
  CHECK(std::abs(PairedPermutation(many, 100'000).p - SignTest(many)) < 0.003);
}

TEST_CASE("a random permutation test never says 0") {
  const std::vector<double> differences(60, 2.5);
  CHECK(PairedPermutation(differences).p == doctest::Approx(1.0 / 10'001).epsilon(1e-12));
  CHECK(PairedPermutation(differences, 99).p == doctest::Approx(0.01).epsilon(1e-12));
}

TEST_CASE("equal sums count as equal, however they are rounded") {
  boost::random::mt19937_64 generator(5);
  for (int sample = 0; sample < 40; ++sample) {
    std::vector<double> whole;
    std::vector<double> tenths;
    const size_t n = sample < 30 ? 9 : 25;
    for (size_t i = 0; i < n; ++i) {
      whole.push_back(static_cast<double>(generator() % 11) - 4);
      tenths.push_back(whole.back() * 0.1);
    }
    CHECK(PairedPermutation(tenths, 500).p == PairedPermutation(whole, 500).p);
  }
}

TEST_CASE("order and direction of the differences change no bit of the permutation test") {
  std::vector<double> differences;
  for (int i = 0; i < 40; ++i) differences.push_back(0.1 * ((i * 13) % 29) - 1.1);
  const double p = PairedPermutation(differences).p;
  CHECK(p > 0.01);
  CHECK(p < 0.99);
  std::vector<double> changed = differences;
  std::reverse(changed.begin(), changed.end());
  CHECK(PairedPermutation(changed).p == p);
  std::sort(changed.begin(), changed.end());
  CHECK(PairedPermutation(changed).p == p);
  for (double& d : changed) d = -d;
  CHECK(PairedPermutation(changed).p == p);
}

TEST_CASE("what cannot be permuted") {
  CHECK(ErrorOf([] { PairedPermutation(kPlants, 0); }).code == kInternal);
  CHECK(ErrorOf([] { PairedPermutation(std::vector{1.0, std::nan("")}); }).code == kInternal);
  CHECK(ErrorOf([] { PairedPermutation(std::vector<double>{1.0, INFINITY}); }).code == kInternal);
}

TEST_CASE("names of outlier rules") {
  CHECK(OutlierRuleFromName("none") == OutlierRule::kNone);
  CHECK(OutlierRuleFromName("mad") == OutlierRule::kMad);
  CHECK(OutlierRuleFromName("iqr") == OutlierRule::kIqr);
  CHECK_FALSE(OutlierRuleFromName("MAD").has_value());
  CHECK_FALSE(OutlierRuleFromName("").has_value());
}

std::vector<Maybe> Maybes(const Json& json) {
  std::vector<Maybe> values;
  for (const Json& value : json) {
    values.push_back(value.is_null() ? std::nullopt : Maybe(value.get<double>()));
  }
  return values;
}

void CheckNumber(const Maybe& ours, const Json& wanted) {
  REQUIRE(ours.has_value() == !wanted.is_null());
  if (ours) CHECK(std::abs(*ours - wanted.get<double>()) <= 1e-6);
}

TEST_CASE("the paired t tests of FullDuplexBench v1.5") {
  std::ifstream file(PPX_SOURCE_DIR "/tests/golden/metrics/paired_ttest.json");
  const Json cases = Json::parse(file);
  REQUIRE_FALSE(cases.empty());
  for (const Json& c : cases) {
    const auto before = Maybes(c.at("before"));
    const auto after = Maybes(c.at("after"));
    const auto rule = OutlierRuleFromName(c.at("rule").get<std::string>());
    REQUIRE(rule.has_value());
    const auto test = PairedT(before, after, *rule);
    REQUIRE(test.has_value());
    REQUIRE(test->interval.has_value());
    CHECK(test->n_used == c.at("n_used").get<int64_t>());
    CHECK(test->n_dropped == c.at("n_dropped").get<int64_t>());
    CHECK(test->degrees_of_freedom == c.at("df").get<int64_t>());
    CheckNumber(test->mean_difference, c.at("mean_diff"));
    CheckNumber(test->interval->low, c.at("ci95").at(0));
    CheckNumber(test->interval->high, c.at("ci95").at(1));
    CheckNumber(test->t, c.at("t"));
    CheckNumber(test->p, c.at("p"));
    CheckNumber(test->cohen_dz, c.at("cohen_dz"));
  }
}

// Pairs whose differences are `differences`, exactly.
std::optional<PairedTTest> TestOf(const std::vector<double>& differences, OutlierRule rule) {
  const std::vector<Maybe> before(differences.size(), 0.0);
  return PairedT(before, std::vector<Maybe>(differences.begin(), differences.end()), rule);
}

// scipy.stats.ttest_1samp of SciPy 1.17; Student's own test of these data in Fisher (1935) has
// t = 2.148.
TEST_CASE("the paired t test of Darwin's plants") {
  const auto test = TestOf(kPlants, OutlierRule::kNone);
  REQUIRE(test.has_value());
  CHECK(test->n_used == 15);
  CHECK(test->n_dropped == 0);
  CHECK(test->degrees_of_freedom == 14);
  CHECK(test->mean_difference == doctest::Approx(314.0 / 15).epsilon(1e-14));
  CHECK(test->t.value() == doctest::Approx(2.1479874613311205).epsilon(1e-12));
  CHECK(test->p.value() == doctest::Approx(0.049702944021800866).epsilon(1e-11));
  CHECK(test->interval->low == doctest::Approx(0.031193318392979563).epsilon(1e-9));
  CHECK(test->interval->high == doctest::Approx(41.83547334827369).epsilon(1e-12));
  CHECK(test->cohen_dz.value() ==
        doctest::Approx(2.1479874613311205 / std::sqrt(15.0)).epsilon(1e-12));
}

TEST_CASE("after less before, over complete pairs") {
  const std::vector<Maybe> before{1.0, std::nullopt, 2.0, 5.0, std::nullopt};
  const std::vector<Maybe> after{2.0, 9.0, 5.0, std::nullopt, std::nullopt};
  const auto test = PairedT(before, after, OutlierRule::kMad);
  REQUIRE(test.has_value());
  CHECK(test->n_used == 2);
  CHECK(test->n_dropped == 0);
  CHECK(test->mean_difference == 2.0);
  CHECK(test->t.value() == doctest::Approx(2.0).epsilon(1e-14));
  CHECK(test->p.value() == doctest::Approx(1 - 2 * std::atan(2.0) / std::acos(-1.0)));  // Cauchy
}

TEST_CASE("the bounds of the outlier rules belong to what is kept") {
  // Median 0, MAD 1: the bound is 3.5 * 1.4826.
  const double bound = 3.5 * 1.4826 * 1.0;
  const auto at_bound = TestOf({-1, -1, 0, 1, bound}, OutlierRule::kMad);
  CHECK(at_bound->n_dropped == 0);
  const auto past_bound = TestOf({-1, -1, 0, 1, std::nextafter(bound, 6.0)}, OutlierRule::kMad);
  CHECK(past_bound->n_dropped == 1);
  CHECK(past_bound->n_used == 4);
  CHECK(past_bound->mean_difference == -0.25);
  // Quartiles 1 and 3: the fences are -2 and 6.
  CHECK(TestOf({0, 1, 2, 3, 6}, OutlierRule::kIqr)->n_dropped == 0);
  CHECK(TestOf({0, 1, 2, 3, std::nextafter(6.0, 7.0)}, OutlierRule::kIqr)->n_dropped == 1);
  CHECK(TestOf({-2, 1, 2, 3, 4}, OutlierRule::kIqr)->n_dropped == 0);
  CHECK(TestOf({std::nextafter(-2.0, -3.0), 1, 2, 3, 4}, OutlierRule::kIqr)->n_dropped == 1);
}

TEST_CASE("without a spread in the middle") {
  // MAD 0 keeps everything, interquartile range 0 only what equals the quartiles.
  const std::vector<double> differences{1, 1, 1, 1, 1, 50};
  CHECK(TestOf(differences, OutlierRule::kMad)->n_used == 6);
  CHECK(TestOf(differences, OutlierRule::kIqr)->n_used == 5);
  CHECK(TestOf(differences, OutlierRule::kNone)->n_used == 6);
}

TEST_CASE("outliers are looked for once") {
  // Without 1000 the value 20 would be an outlier too.
  const auto once = TestOf({0, 1, 2, 3, 20, 1000}, OutlierRule::kIqr);
  CHECK(once->n_dropped == 1);
  CHECK(TestOf({0, 1, 2, 3, 20}, OutlierRule::kIqr)->n_dropped == 1);
}

TEST_CASE("equal differences") {
  const auto shifted = TestOf({0.1, 0.1, 0.1, 0.1, 0.1, 0.1}, OutlierRule::kNone);
  REQUIRE(shifted.has_value());
  CHECK(shifted->mean_difference == 0.1);
  CHECK(shifted->interval->low == 0.1);
  CHECK(shifted->interval->high == 0.1);
  CHECK_FALSE(shifted->t.has_value());
  CHECK_FALSE(shifted->cohen_dz.has_value());
  CHECK(shifted->p == 0.0);
  const auto same = TestOf({0, 0, 0}, OutlierRule::kMad);
  REQUIRE(same.has_value());
  CHECK(same->mean_difference == 0);
  CHECK_FALSE(same->t.has_value());
  CHECK_FALSE(same->p.has_value());
  CHECK_FALSE(same->cohen_dz.has_value());
}

TEST_CASE("a mean difference of 0 with a spread") {
  const auto test = TestOf({-1, 1}, OutlierRule::kNone);
  CHECK(test->t == 0.0);
  CHECK(test->p == 1.0);
  CHECK(test->cohen_dz == 0.0);
}

TEST_CASE("the order of the pairs changes no bit of the t test") {
  std::vector<double> differences;
  for (int i = 0; i < 30; ++i) differences.push_back(0.1 * ((i * 7) % 31) + 1e10 * (i % 2));
  for (const OutlierRule rule : {OutlierRule::kNone, OutlierRule::kMad, OutlierRule::kIqr}) {
    const auto forth = TestOf(differences, rule);
    const auto back = TestOf({differences.rbegin(), differences.rend()}, rule);
    CHECK(forth->n_used == back->n_used);
    CHECK(forth->mean_difference == back->mean_difference);
    CHECK(forth->t == back->t);
    CHECK(forth->p == back->p);
    CHECK(forth->interval->low == back->interval->low);
  }
}

TEST_CASE("fewer than two pairs are not analysed") {
  const std::vector<Maybe> none;
  CHECK_FALSE(PairedT(none, none, OutlierRule::kMad).has_value());
  const std::vector<Maybe> one{1.0, std::nullopt};
  const std::vector<Maybe> two{3.0, 4.0};
  CHECK_FALSE(PairedT(one, two, OutlierRule::kMad).has_value());
  CHECK(PairedT(two, two, OutlierRule::kMad).has_value());
}

TEST_CASE("lists that make no pairs") {
  const std::vector<Maybe> two{3.0, 4.0};
  const std::vector<Maybe> three{3.0, 4.0, 5.0};
  const std::vector<Maybe> broken{std::nan(""), 1.0, 2.0};
  CHECK(ErrorOf([&] { PairedT(two, three, OutlierRule::kNone); }).code == kInternal);
  for (const OutlierRule rule : {OutlierRule::kNone, OutlierRule::kMad, OutlierRule::kIqr}) {
    CHECK(ErrorOf([&] { PairedT(three, broken, rule); }).code == kInternal);
    CHECK(ErrorOf([&] { PairedT(broken, three, rule); }).code == kInternal);
  }
}

}  // namespace
}  // namespace ppx::metrics
