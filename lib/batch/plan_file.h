// lib/batch/plan_file.h: the plan as a file, plan.jsonl, for `merge` and for readers.
//
// One JSON object a line: {"id","key","frames","slots","outputs"}, in the plan's order. The bytes
// depend on the plan alone, so every shard writes the same.
#pragma once

#include <string>
#include <string_view>

#include "batch/plan.h"

namespace ppx::batch {

constexpr const char* kPlanName = "plan.jsonl";

// Throws base::Error (kBadInput) where two dialogues have the same id or write the same file, or
// one's file is a folder of another's: neither could be left whole. Two paths are told apart by
// their bytes, after `.` and `//` are taken out.
void CheckPlan(const Plan& plan);

std::string PlanText(const Plan& plan);

// `path` is for messages. Throws base::Error (kBadInput), "PATH:LINE: what".
Plan ParsePlan(std::string_view text, const std::string& path);
// The state folder's plan. Throws as ParsePlan, and where there is none.
Plan ReadPlan(const std::string& state_folder);

}  // namespace ppx::batch
