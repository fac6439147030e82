#include "judge/answer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace ppx::judge {
namespace {

using nlohmann::json;

// Bounds the work on an answer made of braces, where every brace may be read to the end.
constexpr size_t kMaxAnswerBytes = size_t{64} << 10;
constexpr int kMaxObjects = 256;

// One past the brace that closes the one at `begin`; npos where none does.
size_t ObjectEnd(std::string_view text, size_t begin) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// No value where `text` is not a JSON object, or names a key of its own twice.
std::optional<json> ParseObject(std::string_view text) {
  std::set<std::string> keys;
  bool repeated = false;
  const auto see = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::key && depth == 1) {
      repeated |= !keys.insert(value.get<std::string>()).second;
    }
    return true;
  };
  json object = json::parse(text.begin(), text.end(), see, /*allow_exceptions=*/false);
  if (repeated || !object.is_object()) return std::nullopt;
  return object;
}

bool ReadFields(const JudgeSpec& spec, const json& object, Answer& answer) {
  Answer found;
  for (const std::string& field : spec.fields) {
    const auto value = object.find(field);
    if (value == object.end()) return false;
    if (spec.kind == AnswerKind::kLabel) {
      if (!value->is_string()) return false;
      found.label = value->get<std::string>();
      if (std::find(spec.labels.begin(), spec.labels.end(), found.label) == spec.labels.end()) {
        return false;
      }
      continue;
    }
    if (!value->is_number()) return false;
    const auto mark = value->get<double>();
    if (mark != std::floor(mark) || mark < spec.scale.lowest || mark > spec.scale.highest) {
      return false;
    }
    found.scores[field] = static_cast<int>(mark);
  }
  found.ok = true;
  answer = std::move(found);
  return true;
}

std::string Wanted(const JudgeSpec& spec) {
  const std::string fields = fmt::format("{}", fmt::join(spec.fields, ", "));
  if (spec.kind == AnswerKind::kLabel) {
    return fmt::format("'{}' being one of {}", fields, fmt::join(spec.labels, ", "));
  }
  return fmt::format("'{}' from {} to {}", fields, spec.scale.lowest, spec.scale.highest);
}

}  // namespace

Answer ParseAnswer(const JudgeSpec& spec, std::string_view text) {
  Answer answer;
  if (text.size() > kMaxAnswerBytes) {
    answer.reason =
        fmt::format("the judge's answer has {} bytes, more than {}", text.size(), kMaxAnswerBytes);
    return answer;
  }
  int objects = 0;
  for (size_t at = text.find('{'); at != std::string_view::npos && objects < kMaxObjects;
       at = text.find('{', at + 1), ++objects) {
    const size_t end = ObjectEnd(text, at);
    if (end == std::string_view::npos) continue;
    const std::optional<json> object = ParseObject(text.substr(at, end - at));
    if (object && ReadFields(spec, *object, answer)) return answer;
  }
  answer.reason = text.empty() ? "the judge's answer is empty"
                               : fmt::format("no JSON object with {} in the judge's answer \"{}\"",
                                             Wanted(spec), Excerpt(text));
  return answer;
}

std::string Excerpt(std::string_view text, size_t max_bytes) {
  std::string line;
  const bool cut = text.size() > max_bytes;
  size_t end = std::min(text.size(), max_bytes);
  if (cut) {
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  }
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  if (cut) line += "...";
  // There and back: what is not UTF-8 becomes U+FFFD.
  return json::parse(json(line).dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace ppx::judge
