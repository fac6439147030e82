#include "metrics/bootstrap.h"

#include <algorithm>
#include <boost/random/exponential_distribution.hpp>
#include <boost/random/mersenne_twister.hpp>
#include <cmath>
#include <vector>

#include "metrics/descriptive.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::metrics {
namespace {

using testing::ErrorOf;

const std::vector<double> kLatencies{0.24, 0.31, 0.08, 0.95, 0.4,  0.16, 1.92, 0.56, 0.33, 0.27,
                                     0.48, 3.2,  0.11, 0.72, 0.65, 0.19, 0.88, 0.36, 0.29, 1.4};

Interval IntervalOf(const std::vector<double>& values, const BootstrapOptions& options = {}) {
  const auto interval = BcaIntervalOfMean(values, options);
  REQUIRE(interval.has_value());
  return *interval;
}

// All n^n resamples enumerated by a few lines of NumPy. The ends fall well inside a step of the
// discrete distribution, so that a good approximation gives them exactly. Other formulas give:
//  {0, 0, 0, 1, 2, 8}  without acceleration 1/6 and 28/6, without bias correction 2/6 and 32/6,
//                      with the acceleration's sign turned 0 and 26/6
//  {1, 1, 2, 4, 30}    1.4 and 19.2; 1.4 and 24.2; 1.2 and 18.6
TEST_CASE("the interval that all possible resamples give") {
  const BootstrapOptions many{.resamples = 200'000};
  const Interval six = IntervalOf({0, 0, 0, 1, 2, 8}, many);
  CHECK(six.low == 2.0 / 6);
  CHECK(six.high == 34.0 / 6);
  const Interval five = IntervalOf({1, 1, 2, 4, 30}, many);
  CHECK(five.low == 1.6);
  CHECK(five.high == 24.4);
  // The sample in a mirror.
  const Interval mirrored = IntervalOf({-1, -1, -2, -4, -30}, many);
  CHECK(mirrored.low == -24.4);
  CHECK(mirrored.high == -1.6);
}

// scipy.stats.bootstrap (1.17), method BCa, 1 000 000 resamples. The percentile interval would be
// 0.398 to 1.033.
TEST_CASE("an independent implementation with other random numbers") {
  const BootstrapOptions many{.resamples = 200'000};
  const Interval wide = IntervalOf(kLatencies, many);
  CHECK(std::abs(wide.low - 0.4435) < 0.003);
  CHECK(std::abs(wide.high - 1.1605) < 0.006);
  BootstrapOptions narrow_options = many;
  narrow_options.confidence = 0.8;
  const Interval narrow = IntervalOf(kLatencies, narrow_options);
  CHECK(std::abs(narrow.low - 0.5105) < 0.003);
  CHECK(std::abs(narrow.high - 0.9630) < 0.006);
  // The default number of resamples is less exact, but not by much.
  const Interval usual = IntervalOf(kLatencies);
  CHECK(std::abs(usual.low - 0.4435) < 0.01);
  CHECK(std::abs(usual.high - 1.1605) < 0.03);
}

// The random numbers are the same on every platform: generator and distribution are Boost's. The
// values are this implementation's; integers have exact sums.
TEST_CASE("the random numbers are part of the result") {
  const Interval interval = IntervalOf({3, 1, 4, 1, 5, 9, 2, 6}, {.resamples = 199, .seed = 7});
  CHECK(interval.low == doctest::Approx(2.5).epsilon(1e-12));
  CHECK(interval.high == doctest::Approx(5.9957555163340608).epsilon(1e-12));
}

TEST_CASE("the order of the values changes no bit, the seed does") {
  const Interval sorted = IntervalOf(kLatencies);
  std::vector<double> values = kLatencies;
  std::reverse(values.begin(), values.end());
  CHECK(IntervalOf(values).low == sorted.low);
  CHECK(IntervalOf(values).high == sorted.high);
  for (size_t turn = 1; turn < values.size(); ++turn) {
    std::rotate(values.begin(), values.begin() + 7, values.end());
    std::swap(values[turn], values[0]);
    const Interval turned = IntervalOf(values);
    CHECK(turned.low == sorted.low);
    CHECK(turned.high == sorted.high);
  }
  const Interval other = IntervalOf(kLatencies, {.seed = 2});
  CHECK(other.low != sorted.low);
  CHECK(other.high != sorted.high);
  CHECK(std::abs(other.low - sorted.low) < 0.02);
}

TEST_CASE("shift and scale carry over") {
  const std::vector<double> values{3, 1, 4, 1, 5, 9, 2, 6, 5, 35};
  const Interval plain = IntervalOf(values);
  std::vector<double> changed;
  for (const double value : values) changed.push_back(4 * value - 100);
  const Interval moved = IntervalOf(changed);
  CHECK(moved.low == doctest::Approx(4 * plain.low - 100).epsilon(1e-12));
  CHECK(moved.high == doctest::Approx(4 * plain.high - 100).epsilon(1e-12));
}

TEST_CASE("the higher the confidence, the wider") {
  Interval inner = IntervalOf(kLatencies, {.confidence = 0.5});
  for (const double confidence : {0.8, 0.95, 0.99, 0.999}) {
    const Interval outer = IntervalOf(kLatencies, {.confidence = confidence});
    CHECK(outer.low < inner.low);
    CHECK(outer.high > inner.high);
    inner = outer;
  }
  CHECK(inner.low >= *std::min_element(kLatencies.begin(), kLatencies.end()));
  CHECK(inner.high <= *std::max_element(kLatencies.begin(), kLatencies.end()));
}

// Of 400 samples of 40 exponential values about 93 % of the intervals should hold the true mean,
// and they should miss it on both sides. A percentile interval's misses are nearly all on one side.
TEST_CASE("the interval holds the true mean as often as it says") {
  boost::random::mt19937_64 generator(20240607);
  const boost::random::exponential_distribution<double> exponential(1.0);
  constexpr int kSamples = 400;
  int too_low = 0;
  int too_high = 0;
  for (int sample = 0; sample < kSamples; ++sample) {
    std::vector<double> values;
    for (int i = 0; i < 40; ++i) values.push_back(exponential(generator));
    const Interval interval = IntervalOf(values, {.resamples = 1000});
    if (interval.high < 1.0) ++too_low;
    if (interval.low > 1.0) ++too_high;
  }
  CHECK(too_low + too_high >= 12);
  CHECK(too_low + too_high <= 40);
  CHECK(too_high >= 3);
}

// Tenths have inexact sums, integers have not; their ties with the mean are the same.
TEST_CASE("ties do not depend on rounding") {
  boost::random::mt19937_64 generator(3);
  for (size_t n = 5; n < 45; ++n) {
    std::vector<double> whole;
    std::vector<double> tenths;
    for (size_t i = 0; i < n; ++i) {
      whole.push_back(static_cast<double>(generator() % 4));
      tenths.push_back(whole.back() * 0.1);
    }
    const Interval exact = IntervalOf(whole, {.resamples = 1000});
    const Interval rounded = IntervalOf(tenths, {.resamples = 1000});
    CHECK(rounded.low == doctest::Approx(exact.low / 10).epsilon(1e-9));
    CHECK(rounded.high == doctest::Approx(exact.high / 10).epsilon(1e-9));
  }
}

TEST_CASE("few or equal values") {
  CHECK_FALSE(BcaIntervalOfMean({}).has_value());
  CHECK_FALSE(BcaIntervalOfMean(std::vector{1.0}).has_value());
  const Interval point = IntervalOf(std::vector<double>(7, 0.1));
  CHECK(point.low == 0.1);
  CHECK(point.high == 0.1);
  const Interval two = IntervalOf({0, 1});
  CHECK(two.low == 0);
  CHECK(two.high == 1);
  // So near to each other that the third power of a deviation is 0.
  const Interval tiny = IntervalOf({0, 1e-150, 3e-150});
  CHECK(tiny.low >= 0);
  CHECK(tiny.high <= 3e-150);
  CHECK(tiny.low < tiny.high);
}

TEST_CASE("one resample is its own interval") {
  const Interval interval = IntervalOf(kLatencies, {.resamples = 1});
  CHECK(interval.low == interval.high);
}

TEST_CASE("what cannot be resampled") {
  constexpr auto kInternal = base::ErrorCode::kInternal;
  CHECK(ErrorOf([] { BcaIntervalOfMean(kLatencies, {.resamples = 0}); }).code == kInternal);
  CHECK(ErrorOf([] { BcaIntervalOfMean(kLatencies, {.confidence = 0}); }).code == kInternal);
  CHECK(ErrorOf([] { BcaIntervalOfMean(kLatencies, {.confidence = 1}); }).code == kInternal);
  CHECK(ErrorOf([] { BcaIntervalOfMean(kLatencies, {.confidence = std::nan("")}); }).code ==
        kInternal);
  CHECK(ErrorOf([] { BcaIntervalOfMean(std::vector{1.0, std::nan("")}); }).code == kInternal);
  CHECK(ErrorOf([] { BcaIntervalOfMean(std::vector{std::nan("")}); }).code == kInternal);
  CHECK(ErrorOf([] { BcaIntervalOfMean(std::vector<double>{INFINITY, 1.0}); }).code == kInternal);
}

}  // namespace
}  // namespace ppx::metrics
