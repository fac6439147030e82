// lib/metrics/distance.h: how far apart two distributions are.
#pragma once

#include <span>

namespace ppx::metrics {

// Jensen-Shannon distance: the square root of the divergence with the natural logarithm (Endres and
// Schindelin 2003), between 0 and sqrt(ln 2). Both lists are normalised to a sum of 1; 0 log 0 = 0.
// Throws base::Error (kInternal) for lists of unequal length, no values, negative or non-finite
// values, or a sum of 0.
double JensenShannonDistance(std::span<const double> p, std::span<const double> q);

// Wasserstein-1 (earth mover's) distance of two samples: the area between their empirical
// distribution functions, in the unit of the values. The lists may differ in length. Throws
// base::Error (kInternal) for an empty list and for a value that is not finite.
double WassersteinDistance(std::span<const double> a, std::span<const double> b);

}  // namespace ppx::metrics
