// lib/evaluate/aggregate.h: from values of samples to values of tasks.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "metrics/bootstrap.h"
#include "report/results.h"
#include "suite/references.h"
#include "suite/suite.h"

namespace ppx::evaluate {

// Values pooled over the samples of a task: by scorer and metric.
using Pooled = std::map<std::pair<std::string, std::string>, std::vector<double>>;

// One metric for each scorer that has a value or a reason for none in any sample of `rows`, in the
// order of the task's metrics, then of the scorers. A broken sample counts as unscored in each.
// Rates get exact intervals, means bootstrapped ones. Pooled values become a metric "NAME_pooled"
// without an interval: values of one sample are not independent.
std::vector<report::Metric> Aggregate(const suite::Task& task,
                                      std::span<const report::SampleRow> rows, const Pooled& pooled,
                                      std::span<const suite::ReferenceValue> references,
                                      const metrics::BootstrapOptions& bootstrap);

}  // namespace ppx::evaluate
