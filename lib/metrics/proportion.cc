#include "metrics/proportion.h"

#include <boost/math/distributions/beta.hpp>

#include "base/error.h"

namespace ppx::metrics {

Interval ClopperPearson(int64_t successes, int64_t trials, double confidence) {
  if (trials < 1 || successes < 0 || successes > trials || !(confidence > 0 && confidence < 1)) {
    base::ThrowInternal("a rate that cannot be");
  }
  const double tail = (1 - confidence) / 2;
  const auto x = static_cast<double>(successes);
  const auto n = static_cast<double>(trials);
  using boost::math::beta_distribution;
  Interval interval{0, 1};
  if (successes > 0) interval.low = quantile(beta_distribution<>(x, n - x + 1), tail);
  if (successes < trials) {
    interval.high = quantile(complement(beta_distribution<>(x + 1, n - x), tail));
  }
  return interval;
}

}  // namespace ppx::metrics
