// lib/metrics/proportion.h: exact intervals of a rate.
#pragma once

#include <cstdint>

#include "metrics/bootstrap.h"

namespace ppx::metrics {

// Clopper and Pearson (1934). `successes` of `trials`, trials >= 1.
// Throws base::Error (kInternal) for counts or a confidence that cannot be.
Interval ClopperPearson(int64_t successes, int64_t trials, double confidence = 0.95);

}  // namespace ppx::metrics
