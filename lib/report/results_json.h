// lib/report/results_json.h: results as JSON (eval/schema/results.schema.json), and back.
#pragma once

#include <string>
#include <string_view>

#include "report/results.h"

namespace ppx::report {

// Keys in a fixed order, two blanks of indentation, numbers in the shortest form that reads back
// the same; a value that is absent is null beside its status. Equal results give equal bytes.
// Text that is not UTF-8 gets U+FFFD in its place. Throws base::Error (kInternal) for a number that
// is not finite.
std::string ToJson(const Results& results);

// Throws base::Error (kBadInput) that names `name` and the field for what is not as the schema
// says, for metrics and samples that are there twice, and for a schema version that is newer than
// this program. Fields that it does not know are skipped.
Results ResultsFromJson(std::string_view text, const std::string& name);

// "none", "higher", "lower".
std::string_view Name(Direction direction);
// "rate", "mean".
std::string_view Name(MetricKind kind);

}  // namespace ppx::report
