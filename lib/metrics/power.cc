#include "metrics/power.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/non_central_t.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace ppx::metrics {
namespace {

void Check(const PowerOptions& options) {
  const bool sound =
      options.alpha > 0 && options.alpha < 1 && options.power > options.alpha && options.power < 1;
  if (!sound) base::ThrowInternal("an impossible level or power");
}

// Power of the two-sided t test where the mean is `effect` deviations from 0.
double TTestPower(int64_t n, double effect, double alpha) {
  const auto df = static_cast<double>(n - 1);
  const boost::math::students_t central(df);
  const double critical = quantile(complement(central, alpha / 2));
  const boost::math::non_central_t shifted(df, effect * std::sqrt(static_cast<double>(n)));
  return cdf(complement(shifted, critical)) + cdf(shifted, -critical);
}

// Least count c such that c or fewer of `changed` in one direction is significant; -1 for none.
int64_t CriticalCount(int64_t changed, double alpha) {
  const boost::math::binomial fair(static_cast<double>(changed), 0.5);
  int64_t critical = -1;
  while (critical + 1 <= changed / 2 && 2 * cdf(fair, static_cast<double>(critical + 1)) <= alpha) {
    ++critical;
  }
  return critical;
}

// Power of the exact McNemar test: the number of samples that change is binomial, and so is, of
// these, the number that changes for the better.
double McNemarPower(int64_t n, double discordant, double difference, double alpha) {
  const double better = (discordant + difference) / (2 * discordant);
  const boost::math::binomial changes(static_cast<double>(n), discordant);
  double power = 0;
  for (int64_t changed = 1; changed <= n; ++changed) {
    const double weight = pdf(changes, static_cast<double>(changed));
    const int64_t critical = CriticalCount(changed, alpha);
    if (critical < 0 || weight <= 0) continue;
    const boost::math::binomial direction(static_cast<double>(changed), std::min(better, 1.0));
    const double low = cdf(direction, static_cast<double>(critical));
    const double high = cdf(complement(direction, static_cast<double>(changed - critical - 1)));
    power += weight * (low + high);
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
  const auto power = [&](double effect) { return TTestPower(n, effect, options.alpha); };
  double enough = 1;
  constexpr double kMostEffect = 1e6;
  while (power(enough) < options.power) {
    enough *= 2;
    if (enough > kMostEffect) return std::nullopt;
  }
  return sd * Solve(power, options.power, 0.0, enough);
}

std::optional<double> DetectableRateDifference(int64_t n, double discordant,
                                               const PowerOptions& options) {
  Check(options);
  if (n < 1 || !(discordant > 0 && discordant <= 1)) return std::nullopt;
  const auto power = [&](double difference) {
    return McNemarPower(n, discordant, difference, options.alpha);
  };
  if (power(discordant) < options.power) return std::nullopt;
  if (power(0) >= options.power) return 0.0;
  return Solve(power, options.power, 0.0, discordant);
}

}  // namespace ppx::metrics
