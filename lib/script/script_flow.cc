#include "script/script_flow.h"

#include <algorithm>

namespace ppx::script {
namespace {

// Whether the condition can hold at the moment that its step is reached.
bool MayHoldAtOnce(const Condition& condition) {
  switch (condition.kind) {
    case ConditionKind::kAt:
    case ConditionKind::kAfter:
      return true;
    case ConditionKind::kDelay:
      return condition.seconds <= 0;
    case ConditionKind::kAgentStarts:
    case ConditionKind::kAgentSpoken:
    case ConditionKind::kAgentStops:
    case ConditionKind::kAgentSilent:
    case ConditionKind::kAgentSays:
      break;
  }
  return false;
}

// The steps that can be reached at the same moment as `step`. Time-outs take time.
std::vector<size_t> AtOnce(const Step& step) {
  std::vector<size_t> reached;
  const bool happens = step.conditions.empty() ||
                       std::any_of(step.conditions.begin(), step.conditions.end(), MayHoldAtOnce);
  switch (step.kind) {
    case StepKind::kPlay:
      if (step.overlap && happens && step.next) reached.push_back(*step.next);
      break;
    case StepKind::kWait:
      if (happens && step.next) reached.push_back(*step.next);
      break;
    case StepKind::kBranch:
      for (const Condition& condition : step.conditions) {
        if (MayHoldAtOnce(condition)) reached.push_back(*condition.goto_step);
      }
      break;
    case StepKind::kGoto:
      reached.push_back(step.goto_step);
      break;
    case StepKind::kEnd:
      break;
  }
  return reached;
}

enum class Visit { kNever, kUnderWay, kDone };

// Depth first with a stack of its own: scripts may be long.
std::optional<std::vector<size_t>> CircleFrom(size_t first, std::span<const Step> steps,
                                              std::vector<Visit>& visits) {
  struct Place {
    size_t step;
    std::vector<size_t> left;
  };
  std::vector<Place> way{{first, AtOnce(steps[first])}};
  visits[first] = Visit::kUnderWay;
  while (!way.empty()) {
    if (way.back().left.empty()) {
      visits[way.back().step] = Visit::kDone;
      way.pop_back();
      continue;
    }
    const size_t reached = way.back().left.back();
    way.back().left.pop_back();
    if (visits[reached] == Visit::kUnderWay) {
      const auto begin = std::find_if(way.begin(), way.end(),
                                      [&](const Place& place) { return place.step == reached; });
      std::vector<size_t> circle;
      for (auto place = begin; place != way.end(); ++place) circle.push_back(place->step);
      std::rotate(circle.begin(), std::min_element(circle.begin(), circle.end()), circle.end());
      return circle;
    }
    if (visits[reached] == Visit::kDone) continue;
    visits[reached] = Visit::kUnderWay;
    way.push_back({reached, AtOnce(steps[reached])});
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<size_t>> CircleWithoutTime(std::span<const Step> steps) {
  std::vector<Visit> visits(steps.size(), Visit::kNever);
  for (size_t i = 0; i < steps.size(); ++i) {
    if (visits[i] != Visit::kNever) continue;
    if (auto circle = CircleFrom(i, steps, visits)) return circle;
  }
  return std::nullopt;
}

}  // namespace ppx::script
