// lib/report/csv.h: results as a table of values, for spreadsheets and data frames.
#pragma once

#include <string>

#include "report/results.h"

namespace ppx::report {

// One line a sample and value (RFC 4180): task, id, folder, scored, reason, flags, scorer, metric,
// value, status. A sample without values has one line with these empty. Texts that a spreadsheet
// would take for a formula get an apostrophe in front; numbers stay as they are.
std::string ToCsv(const Results& results);

}  // namespace ppx::report
