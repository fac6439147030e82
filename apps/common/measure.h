// apps/common/measure.h: what runs tell of themselves.
#pragma once

#include <chrono>

namespace ppx::app {

double SecondsSince(std::chrono::steady_clock::time_point start);

// The most that was resident at once, the pages of mapped files included.
double PeakMemoryBytes();

}  // namespace ppx::app
