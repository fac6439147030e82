// lib/report/table.h: results for people: on a terminal, and in Markdown.
#pragma once

#include <string>
#include <vector>

#include "report/results.h"

namespace ppx::report {

// One block a task: metric, scorer, value with its interval, n and the unscored by reason,
// published numbers beside; then where scorers disagree, the paired tests, flags and broken
// samples.
std::string ToTable(const Results& results);

// The same as Markdown. Text from files is escaped: it can neither end a cell nor become markup.
std::string ToMarkdown(const Results& results);

// One line for each metric of a task that scorers disagree on: rates by 0.05 or more, latencies by
// 0.1 s or more, or where one of them has no value.
std::vector<std::string> Disagreements(const Results& results);

}  // namespace ppx::report
