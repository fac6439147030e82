#include "report/results.h"

#include <algorithm>

namespace ppx::report {

int64_t Results::broken_samples() const {
  return std::count_if(samples.begin(), samples.end(),
                       [](const SampleRow& row) { return !row.scored; });
}

}  // namespace ppx::report
