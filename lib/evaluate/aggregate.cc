#include "evaluate/aggregate.h"

#include <algorithm>
#include <array>

#include "evaluate/sample_scores.h"
#include "metrics/descriptive.h"
#include "metrics/estimate.h"
#include "metrics/scored.h"

namespace ppx::evaluate {
namespace {

constexpr std::array kScorers{"fdb-exact", "fdb-fixed", "event",  "v15",
                              "judge",     "speaker",   "channel"};

report::Direction DirectionOf(suite::Better better) {
  switch (better) {
    case suite::Better::kHigher:
      return report::Direction::kHigherIsBetter;
    case suite::Better::kLower:
      return report::Direction::kLowerIsBetter;
    case suite::Better::kNone:
      break;
  }
  return report::Direction::kNone;
}

report::Metric Named(const suite::Task& task, const std::string& scorer,
                     const suite::MetricChoice& choice) {
  report::Metric metric;
  metric.task = task.name;
  metric.scorer = scorer;
  metric.name = choice.name;
  metric.unit = UnitOf(choice.name);
  metric.kind = IsRate(choice.name) ? report::MetricKind::kRate : report::MetricKind::kMean;
  metric.direction = DirectionOf(choice.better);
  return metric;
}

// Published numbers are of the benchmark's scripts, or of an own definition that the event scorer
// follows: they stand beside the scorers that measure the same.
bool IsComparable(const std::string& scorer, const std::string& metric) {
  if (metric == "stop_latency_s") return scorer == "event";
  return scorer == "fdb-exact" || scorer == "fdb-fixed" || scorer == "judge" || scorer == "speaker";
}

}  // namespace

std::vector<report::Metric> Aggregate(const suite::Task& task,
                                      std::span<const report::SampleRow> rows, const Pooled& pooled,
                                      std::span<const suite::ReferenceValue> references,
                                      const metrics::BootstrapOptions& bootstrap) {
  std::vector<report::Metric> aggregated;
  for (const suite::MetricChoice& choice : task.metrics) {
    for (const char* scorer : kScorers) {
      std::vector<double> values;
      std::map<std::string, int64_t> statuses;
      int64_t broken = 0;
      for (const report::SampleRow& row : rows) {
        if (!row.scored) ++broken;
        for (const report::SampleValue& value : row.values) {
          if (value.scorer != scorer || value.name != choice.name) continue;
          ++statuses[value.status];
          if (value.value) values.push_back(*value.value);
        }
      }
      if (statuses.empty()) continue;
      if (broken > 0) statuses["broken"] += broken;
      report::Metric metric = Named(task, scorer, choice);
      if (metric.kind == report::MetricKind::kRate) {
        metric.estimate = metrics::EstimateRate(values, bootstrap.confidence);
      } else {
        metric.estimate = metrics::EstimateMean(values, bootstrap);
      }
      for (const auto& [status, count] : statuses) {
        if (status != metrics::kStatusOk) metric.estimate.n_unscored += count;
      }
      metric.estimate.statuses = std::move(statuses);
      for (const suite::ReferenceValue& reference : references) {
        if (reference.task == task.name && reference.metric == choice.name &&
            IsComparable(scorer, choice.name)) {
          metric.references.push_back({reference.system, reference.source, reference.value});
        }
      }
      aggregated.push_back(std::move(metric));
      const auto pool = pooled.find({scorer, choice.name});
      if (pool == pooled.end() || pool->second.empty()) continue;
      report::Metric all = Named(task, scorer, choice);
      all.name += "_pooled";
      all.estimate.n = static_cast<int64_t>(pool->second.size());
      all.estimate.value = metrics::Mean(pool->second);
      all.estimate.sd = metrics::PopulationSd(pool->second);
      all.estimate.median = metrics::Median(pool->second);
      constexpr double kTail = 0.9;
      all.estimate.p90 = metrics::Quantile(pool->second, kTail);
      aggregated.push_back(std::move(all));
    }
  }
  return aggregated;
}

}  // namespace ppx::evaluate
