#include "report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ppx::report {
namespace {

size_t CodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

std::string AlignColumns(const std::vector<std::vector<std::string>>& rows, size_t left,
                         size_t indent) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], CodePoints(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - CodePoints(row[i]), ' ');
      line += (i == 0 ? "" : "  ") + (i < left ? row[i] + blanks : blanks + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string EscapeMarkdown(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ') {
      escaped += ' ';
    } else if (c == '<') {
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
    for (const std::string& cell : rows[i]) text += " " + EscapeMarkdown(cell) + " |";
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
  return std::abs(*value) < kLarge ? fmt::format("{:.3f}", *value) : fmt::format("{:.6g}", *value);
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
