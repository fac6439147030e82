#include "metrics/power.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"

namespace ppx::metrics {
namespace {

void Check(const PowerOptions& options) {
  const bool sound =
      options.alpha > 0 && options.alpha < 1 && options.power > options.alpha && options.power < 1;
  if (!sound) base::ThrowInternal("an impossible level or power");
}

// Power of the two-sided t test where the mean is `errors` standard errors from 0.
double TTestPower(int64_t n, double errors, double alpha) {
  const auto df = static_cast<double>(n - 1);
  const boost::math::students_t central(df);
  const double critical = quantile(complement(central, alpha / 2));
  const boost::math::non_central_t shifted(df, errors);
  return cdf(complement(shifted, critical)) + cdf(shifted, -critical);
}

// What the exact McNemar test can come upon: how many samples change between the runs, how probable
// that is, and how few of them in one direction are significant.
struct Change {
  int64_t samples = 0;
  double probability = 0;
  int64_t critical = 0;
};

// Those in which the test can be significant at all. What is left out as too rare adds up to less
// than n * 1e-15.
std::vector<Change> ChangesThatCount(int64_t n, double discordant, double alpha) {
  constexpr double kRare = 1e-15;
  const boost::math::binomial changed(static_cast<double>(n), discordant);
  std::vector<Change> changes;
  // Of one more sample at most one more is significant: the count never falls as samples grow.
  int64_t critical = -1;
  for (int64_t samples = 1; samples <= n; ++samples) {
    const boost::math::binomial fair(static_cast<double>(samples), 0.5);
    while (2 * cdf(fair, static_cast<double>(critical + 1)) <= alpha) ++critical;
    const double probability = pdf(changed, static_cast<double>(samples));
    if (critical >= 0 && probability > kRare) changes.push_back({samples, probability, critical});
  }
  return changes;
}

// `better` is the probability that a sample that changes does so for the better.
double McNemarPower(const std::vector<Change>& changes, double better) {
  double power = 0;
  for (const Change& change : changes) {
    const boost::math::binomial direction(static_cast<double>(change.samples), better);
    const double low = cdf(direction, static_cast<double>(change.critical));
    const double high =
        cdf(complement(direction, static_cast<double>(change.samples - change.critical - 1)));
    power += change.probability * (low + high);
  }
  return power;
}

// The argument in (low, high) where a rising function reaches `wanted`.
template <typename Function>
double Solve(const Function& function, double wanted, double low, double high) {
  constexpr int kBits = 40;
  std::uintmax_t steps = 200;
  const auto bracket =
      boost::math::tools::bisect([&](double x) { return function(x) - wanted; }, low, high,
                                 boost::math::tools::eps_tolerance<double>(kBits), steps);
  return (bracket.first + bracket.second) / 2;
}

}  // namespace

std::optional<double> DetectableMeanDifference(int64_t n, double sd, const PowerOptions& options) {
  Check(options);
  if (n < 2 || !std::isfinite(sd) || sd < 0) return std::nullopt;
  if (sd == 0) return 0.0;
  const auto power = [&](double errors) { return TTestPower(n, errors, options.alpha); };
  // Beyond this lie only levels that two or three pairs cannot reach, and Boost's limits.
  constexpr double kMostErrors = 16384;
  double enough = 1;
  while (power(enough) < options.power) {
    enough *= 2;
    if (enough > kMostErrors) return std::nullopt;
  }
  const double error = sd / std::sqrt(static_cast<double>(n));
  return error * Solve(power, options.power, 0.0, enough);
}

std::optional<double> DetectableRateDifference(int64_t n, double discordant,
                                               const PowerOptions& options) {
  Check(options);
  if (n < 1 || !(discordant > 0 && discordant <= 1)) return std::nullopt;
  const std::vector<Change> changes = ChangesThatCount(n, discordant, options.alpha);
  const auto power = [&](double difference) {
    return McNemarPower(changes, (1 + std::min(difference / discordant, 1.0)) / 2);
  };
  if (power(discordant) < options.power) return std::nullopt;
  return Solve(power, options.power, 0.0, discordant);
}

}  // namespace ppx::metrics
