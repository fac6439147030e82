#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ppx::report {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Blocks of marks that take no column of their own.
constexpr std::array kZeroWidth{
    Range{0x0300, 0x036F}, Range{0x0483, 0x0489}, Range{0x0591, 0x05BD}, Range{0x0610, 0x061A},
    Range{0x064B, 0x065F}, Range{0x1AB0, 0x1AFF}, Range{0x1DC0, 0x1DFF}, Range{0x200B, 0x200D},
    Range{0x20D0, 0x20FF}, Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F}, Range{0xFEFF, 0xFEFF}};

// Blocks whose characters are wide or full-width (Unicode Standard Annex 11).
constexpr std::array kDoubleWidth{
    Range{0x1100, 0x115F},   Range{0x2E80, 0x303E},   Range{0x3041, 0xA4CF},
    Range{0xA960, 0xA97F},   Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},
    Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},   Range{0xFFE0, 0xFFE6},
    Range{0x1F300, 0x1F64F}, Range{0x1F680, 0x1F6FF}, Range{0x1F900, 0x1FAFF},
    Range{0x20000, 0x3FFFD}};

// C0, DEL and C1, line and paragraph separators, and what turns the direction of writing.
constexpr std::array kNotPrinted{Range{0x0000, 0x001F}, Range{0x007F, 0x009F},
                                 Range{0x200E, 0x200F}, Range{0x2028, 0x202E},
                                 Range{0x2066, 0x2069}, Range{0xFFFE, 0xFFFF}};

template <size_t kCount>
bool IsIn(const std::array<Range, kCount>& ranges, char32_t c) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Range& range) { return c >= range.first && c <= range.last; });
}

// Calls `visit(code point, its bytes)` along valid UTF-8.
template <typename Visit>
void ForEachCodePoint(std::string_view text, const Visit& visit) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t length = 1;
    char32_t c = lead;
    if (lead >= 0xF0U) {
      length = 4;
      c = lead & 0x07U;
    } else if (lead >= 0xE0U) {
      length = 3;
      c = lead & 0x0FU;
    } else if (lead >= 0xC0U) {
      length = 2;
      c = lead & 0x1FU;
    }
    const std::string_view bytes = text.substr(i, length);
    for (const char byte : bytes.substr(1))
      c = (c << 6U) | (static_cast<unsigned char>(byte) & 0x3FU);
    visit(c, bytes);
    i += length;
  }
}

}  // namespace

std::string ValidUtf8(std::string_view text) {
  using Json = nlohmann::json;
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace))
      .get<std::string>();
}

std::string Printable(std::string_view text) {
  std::string printable;
  ForEachCodePoint(ValidUtf8(text), [&](char32_t c, std::string_view bytes) {
    printable += IsIn(kNotPrinted, c) ? " " : bytes;
  });
  return printable;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  ForEachCodePoint(text, [&](char32_t c, std::string_view /*bytes*/) {
    if (IsIn(kZeroWidth, c)) return;
    width += IsIn(kDoubleWidth, c) ? 2 : 1;
  });
  return width;
}

std::string AlignColumns(const std::vector<std::vector<std::string>>& rows, size_t left,
                         size_t indent) {
  std::vector<std::vector<std::string>> cells = rows;
  std::vector<size_t> widths;
  for (auto& row : cells) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = Printable(row[i]);
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  std::string text;
  for (const auto& row : cells) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - DisplayWidth(row[i]), ' ');
      line += (i == 0 ? "" : "  ") + (i < left ? row[i] + blanks : blanks + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string EscapeMarkdown(std::string_view text) {
  std::string escaped;
  for (const char c : Printable(text)) {
    if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '&') {
      escaped += "&amp;";
    } else {
      constexpr std::string_view kMarkup = "\\`*_[]|#!~";
      if (kMarkup.find(c) != std::string_view::npos) escaped += '\\';
      escaped += c;
    }
  }
  return escaped;
}

std::string MarkdownTable(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    text += "|";
    for (const std::string& cell : rows[i]) text += fmt::format(" {} |", EscapeMarkdown(cell));
    text += "\n";
    if (i > 0) continue;
    text += "|";
    for (size_t k = 0; k < rows[i].size(); ++k) text += " --- |";
    text += "\n";
  }
  return text;
}

std::string ShortNumber(const std::optional<double>& value) {
  if (!value) return "-";
  constexpr double kLarge = 1000;
  constexpr double kSmall = 0.0005;
  const double size = std::abs(*value);
  if (size == 0) return "0.000";
  if (size < kSmall) return fmt::format("{:.2g}", *value);
  return size < kLarge ? fmt::format("{:.3f}", *value) : fmt::format("{:.6g}", *value);
}

std::string ShortInterval(const std::optional<metrics::Interval>& interval) {
  if (!interval) return "";
  return fmt::format("[{}, {}]", ShortNumber(interval->low), ShortNumber(interval->high));
}

std::string ShortP(const std::optional<double>& p) {
  constexpr double kSmall = 0.001;
  if (!p) return "";
  return *p < kSmall ? "<0.001" : fmt::format("{:.3f}", *p);
}

}  // namespace ppx::report
