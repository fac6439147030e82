// lib/metrics/power.h: the smallest difference that a sample of this size can detect.
#pragma once

#include <cstdint>
#include <optional>

namespace ppx::metrics {

// Both in (0, 1), the power above alpha; else base::Error (kInternal) is thrown.
struct PowerOptions {
  double alpha = 0.05;  // two-sided
  double power = 0.80;
};

// Mean difference that a paired t test on `n` pairs whose differences have the sample deviation
// `sd` finds with the wanted power: solved from the noncentral t distribution. No value for n < 2,
// for a deviation that cannot be, and where two or three pairs cannot reach so small an alpha with
// any difference below 16384 standard errors. 0 for sd = 0.
std::optional<double> DetectableMeanDifference(int64_t n, double sd,
                                               const PowerOptions& options = {});

// Difference of two paired rates that the exact McNemar test on `n` samples finds with the wanted
// power, when a share `discordant` of the samples changes between the runs in either direction.
// No value where no difference up to `discordant` is found, for n < 1, and for a share outside
// (0, 1].
std::optional<double> DetectableRateDifference(int64_t n, double discordant,
                                               const PowerOptions& options = {});

}  // namespace ppx::metrics
