// lib/report/text.h: the small things that the formats share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/bootstrap.h"

namespace ppx::report {

// Rows of cells as lines of equal columns, two blanks between them, `indent` blanks before. The
// first `left` columns are set left, the others right. A cell counts by its code points.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows, size_t left,
                         size_t indent);

// Rows as a Markdown table, the first one being its head. Cells are escaped.
std::string MarkdownTable(const std::vector<std::vector<std::string>>& rows);

// Cannot end a cell, start a line or be markup.
std::string EscapeMarkdown(std::string_view text);

// "0.908", "-" for none.
std::string ShortNumber(const std::optional<double>& value);
// "[0.842, 0.953]", "" for none.
std::string ShortInterval(const std::optional<metrics::Interval>& interval);
// "<0.001", "0.034", "" for none.
std::string ShortP(const std::optional<double>& p);

}  // namespace ppx::report
