#include "judge/recorded_verdicts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/small_file.h"
#include "judge/answer.h"

namespace ppx::judge {
namespace {

using nlohmann::json;

constexpr size_t kMaxBytes = size_t{1} << 20;

// Where `verdict` has a reason already there is nothing to read.
struct Recorded {
  Verdict verdict;
  json document;
};

// No value where there is no file.
std::optional<Recorded> ReadRecorded(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return std::nullopt;
  Recorded recorded;
  Verdict& verdict = recorded.verdict;
  verdict.from_cache = true;
  try {
    verdict.raw_answer = base::ReadSmallFile(path, kMaxBytes, "a recorded verdict (JSON)");
  } catch (const base::Error& problem) {
    verdict.reason = problem.what();
    return recorded;
  }
  verdict.status = VerdictStatus::kUnparsable;
  recorded.document = json::parse(verdict.raw_answer, nullptr, /*allow_exceptions=*/false);
  if (recorded.document.is_discarded()) verdict.reason = path + ": not valid JSON";
  return recorded;
}

std::string_view WithoutBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

std::optional<int> MarkOf(const json& rating, const ScoreRange& scale) {
  double mark = NAN;
  if (rating.is_number()) {
    mark = rating.get<double>();
  } else if (rating.is_string()) {
    const std::string_view text = WithoutBlanks(rating.get_ref<const std::string&>());
    int whole = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
    if (error == std::errc() && end == text.data() + text.size()) mark = whole;
  }
  if (mark != std::floor(mark) || !(mark >= scale.lowest && mark <= scale.highest)) {
    return std::nullopt;
  }
  return static_cast<int>(mark);
}

// Those of `labels` that are a text in `document`.
std::set<std::string> LabelsIn(const json& document, std::span<const std::string> labels) {
  std::set<std::string> found;
  std::vector<const json*> left = {&document};
  while (!left.empty()) {
    const json& value = *left.back();
    left.pop_back();
    if (value.is_string()) {
      const std::string_view text = WithoutBlanks(value.get_ref<const std::string&>());
      if (std::find(labels.begin(), labels.end(), text) != labels.end()) found.emplace(text);
    } else if (value.is_structured()) {
      for (const json& part : value) left.push_back(&part);
    }
  }
  return found;
}

}  // namespace

std::optional<Verdict> ReadRecordedRating(const std::string& path, const std::string& field,
                                          const ScoreRange& scale) {
  std::optional<Recorded> recorded = ReadRecorded(path);
  if (!recorded) return std::nullopt;
  Verdict& verdict = recorded->verdict;
  if (!verdict.reason.empty()) return verdict;
  const json& document = recorded->document;
  if (!document.is_object() || !document.contains("rating")) {
    verdict.reason = path + ": no JSON object with a \"rating\"";
    return verdict;
  }
  const json& rating = document["rating"];
  const std::optional<int> mark = MarkOf(rating, scale);
  if (!mark) {
    // Lists and objects may nest deeper than printing them can follow.
    const std::string got =
        rating.is_structured()
            ? rating.type_name()
            : Excerpt(rating.dump(-1, ' ', false, json::error_handler_t::replace));
    verdict.reason = fmt::format("{}: the rating is {}; expected a whole number from {} to {}",
                                 path, got, scale.lowest, scale.highest);
    return verdict;
  }
  verdict.status = VerdictStatus::kOk;
  verdict.scores[field] = *mark;
  return verdict;
}

std::optional<Verdict> ReadRecordedLabel(const std::string& path,
                                         std::span<const std::string> labels) {
  std::optional<Recorded> recorded = ReadRecorded(path);
  if (!recorded) return std::nullopt;
  Verdict& verdict = recorded->verdict;
  if (!verdict.reason.empty()) return verdict;
  const json& document = recorded->document;
  if (!(document.is_object() ||
        (document.is_array() && document.size() == 1 && document[0].is_object()))) {
    verdict.reason = path + ": expected one JSON object, or a list of one";
    return verdict;
  }
  const std::set<std::string> found = LabelsIn(document, labels);
  if (found.size() != 1) {
    verdict.reason = found.empty()
                         ? fmt::format("{}: none of {} is in it", path, fmt::join(labels, ", "))
                         : fmt::format("{}: several labels, {}", path, fmt::join(found, ", "));
    return verdict;
  }
  verdict.status = VerdictStatus::kOk;
  verdict.label = *found.begin();
  return verdict;
}

}  // namespace ppx::judge
