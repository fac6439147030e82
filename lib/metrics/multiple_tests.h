// lib/metrics/multiple_tests.h: p values of several tests, adjusted for there being several.
#pragma once

#include <span>
#include <vector>

namespace ppx::metrics {

// Holm (1979), step down: the i-th smallest of m is multiplied by m - i (i from 0), made
// non-decreasing and capped at 1. In the order of the input. Throws base::Error (kInternal) for a
// value outside 0 to 1.
std::vector<double> HolmAdjust(std::span<const double> p_values);

}  // namespace ppx::metrics
