#include "report/csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

#include "report/text.h"

namespace ppx::report {
namespace {

std::string Cell(const std::string& content) {
  std::string text = ValidUtf8(content);
  constexpr std::string_view kFormula = "=+-@\t\r\n";
  if (!text.empty() && kFormula.find(text.front()) != std::string_view::npos) {
    text.insert(text.begin(), '\'');
  }
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

std::string ToCsv(const Results& results) {
  std::string text = "task,id,folder,scored,reason,flags,scorer,metric,value,status\r\n";
  for (const SampleRow& row : results.samples) {
    const std::string head =
        fmt::format("{},{},{},{},{},{}", Cell(row.task), Cell(row.id), Cell(row.folder), row.scored,
                    Cell(row.reason), Cell(fmt::format("{}", fmt::join(row.flags, " "))));
    if (row.values.empty()) text += head + ",,,,\r\n";
    for (const SampleValue& value : row.values) {
      text += fmt::format("{},{},{},{},{}\r\n", head, Cell(value.scorer), Cell(value.name),
                          value.value ? fmt::format("{}", *value.value) : "", Cell(value.status));
    }
  }
  return text;
}

}  // namespace ppx::report
