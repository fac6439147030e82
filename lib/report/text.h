// lib/report/text.h: the small things that the formats share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/bootstrap.h"

namespace ppx::report {

// Bytes that are not UTF-8 become U+FFFD.
std::string ValidUtf8(std::string_view text);

// Text of unknown origin for one line of a terminal or a document: valid UTF-8; control
// characters and marks that turn the direction of writing become blanks.
std::string Printable(std::string_view text);

// Columns that printable UTF-8 takes on a terminal: 0 for combining marks, 2 for East Asian wide
// characters and emoji. Does not depend on the locale.
size_t DisplayWidth(std::string_view text);

// Rows of cells as lines of equal columns, two blanks between them, `indent` blanks before. The
// first `left` columns are set left, the others right. Cells are made printable.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows, size_t left,
                         size_t indent);

// Rows as a Markdown table, the first one being its head. Cells are escaped.
std::string MarkdownTable(const std::vector<std::vector<std::string>>& rows);

// Printable, and can neither end a cell nor be markup.
std::string EscapeMarkdown(std::string_view text);

// "0.908", "1.2e-05", "-" for none.
std::string ShortNumber(const std::optional<double>& value);
// "[0.842, 0.953]", "" for none.
std::string ShortInterval(const std::optional<metrics::Interval>& interval);
// "<0.001", "0.034", "" for none.
std::string ShortP(const std::optional<double>& p);

}  // namespace ppx::report
