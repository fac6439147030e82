#include "base/strict_yaml.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/error.h"

namespace ppx::base {
namespace {

class IgnoreEvents final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnAlias(const YAML::Mark& /*mark*/, YAML::anchor_t /*anchor*/) override {}
  void OnScalar(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                const std::string& /*value*/) override {}
  void OnSequenceStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/,
                       YAML::anchor_t /*anchor*/, YAML::EmitterStyle::value /*style*/) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& /*mark*/, const std::string& /*tag*/, YAML::anchor_t /*anchor*/,
                  YAML::EmitterStyle::value /*style*/) override {}
  void OnMapEnd() override {}
};

// YAML::LoadAll would tell too, but it never ends on text with a stray '}' (yaml-cpp 0.7).
bool HasOneDocument(const std::string& yaml) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  IgnoreEvents ignore;
  return parser.HandleNextDocument(ignore) && !parser.HandleNextDocument(ignore);
}

// yaml-cpp would convert a quoted number too, but what is quoted is a text.
bool IsPlain(const YAML::Node& node) { return node.IsScalar() && node.Tag() != "!"; }

}  // namespace

// yaml-cpp counts from 0, editors from 1.
void FailAt(const std::string& path, const YAML::Mark& mark, const std::string& message) {
  if (mark.is_null()) ThrowBadInput(fmt::format("{}: {}", path, message));
  ThrowBadInput(fmt::format("{}:{}:{}: {}", path, mark.line + 1, mark.column + 1, message));
}

YamlMap ParseYaml(const std::string& yaml, const std::string& path, const std::string& what) {
  YAML::Node document;
  try {
    if (HasOneDocument(yaml)) document = YAML::Load(yaml);
  } catch (const YAML::Exception& error) {
    FailAt(path, error.mark, fmt::format("not valid YAML: {}", error.msg));
  }
  if (!document.IsMap()) {
    ThrowBadInput(
        fmt::format("{}: expected {}: one YAML document of 'key: value' lines", path, what));
  }
  return {document, path, what};
}

YamlMap::YamlMap(const YAML::Node& node, std::string path, std::string what)
    : node_(node), path_(std::move(path)), what_(std::move(what)) {
  if (!node_.IsMap()) {
    FailAt(path_, node_.Mark(), fmt::format("{} must be a mapping of 'key: value' lines", what_));
  }
  std::set<std::string> seen;
  for (const auto& entry : node_) {
    if (!entry.first.IsScalar()) {
      FailAt(path_, entry.first.Mark(), fmt::format("a key of {} must be a text", what_));
    }
    if (!seen.insert(entry.first.Scalar()).second) {
      FailAt(path_, entry.first.Mark(),
             fmt::format("'{}' is given twice; keep one", entry.first.Scalar()));
    }
  }
}

bool YamlMap::Has(const std::string& key) {
  taken_.insert(key);
  return node_[key].IsDefined();
}

YAML::Node YamlMap::Take(const std::string& key) {
  taken_.insert(key);
  const YAML::Node value = node_[key];
  if (!value.IsDefined()) {
    FailAt(path_, node_.Mark(), fmt::format("'{}' is missing in {}", key, what_));
  }
  return value;
}

void YamlMap::Fail(const std::string& key, const std::string& message) const {
  const YAML::Node value = node_[key];
  FailAt(path_, value.IsDefined() ? value.Mark() : node_.Mark(),
         fmt::format("'{}' {}", key, message));
}

template <typename T>
T YamlMap::As(const std::string& key, const char* expected) {
  const YAML::Node value = Take(key);
  if (!IsPlain(value)) Fail(key, fmt::format("must be {}", expected));
  try {
    return value.as<T>();
  } catch (const YAML::BadConversion&) {
    Fail(key, fmt::format("must be {}", expected));
  }
}

std::string YamlMap::Text(const std::string& key) {
  const YAML::Node value = Take(key);
  if (!value.IsScalar()) Fail(key, "must be a text; an empty one is written \"\"");
  return value.Scalar();
}

std::string YamlMap::Text(const std::string& key, const std::string& fallback) {
  return Has(key) ? Text(key) : fallback;
}

double YamlMap::Number(const std::string& key) {
  const auto value = As<double>(key, "a number");
  if (!std::isfinite(value)) Fail(key, "must be a finite number");
  return value;
}

std::optional<double> YamlMap::MaybeNumber(const std::string& key) {
  if (!Has(key)) return std::nullopt;
  return Number(key);
}

int64_t YamlMap::Whole(const std::string& key, int64_t low, int64_t high) {
  const auto value = As<int64_t>(key, "a whole number");
  if (value < low || value > high) Fail(key, fmt::format("must be {} to {}", low, high));
  return value;
}

int64_t YamlMap::Whole(const std::string& key, int64_t low, int64_t high, int64_t fallback) {
  return Has(key) ? Whole(key, low, high) : fallback;
}

bool YamlMap::Flag(const std::string& key, bool fallback) {
  return Has(key) ? As<bool>(key, "true or false") : fallback;
}

std::vector<std::string> YamlMap::Texts(const std::string& key) {
  if (!Has(key)) return {};
  if (node_[key].IsScalar()) return {Text(key)};
  std::vector<std::string> texts;
  for (const YAML::Node& item : List(key)) {
    if (!item.IsScalar()) FailAt(path_, item.Mark(), fmt::format("'{}' must hold texts", key));
    texts.push_back(item.Scalar());
  }
  return texts;
}

std::vector<YAML::Node> YamlMap::List(const std::string& key) {
  if (!Has(key)) return {};
  const YAML::Node value = node_[key];
  if (!value.IsSequence()) Fail(key, "must be a list");
  return {value.begin(), value.end()};
}

YamlMap YamlMap::Map(const std::string& key, const std::string& what) {
  return {Take(key), path_, what};
}

std::vector<std::string> YamlMap::Keys() const {
  std::vector<std::string> keys;
  for (const auto& entry : node_) keys.push_back(entry.first.Scalar());
  return keys;
}

size_t YamlMap::Choice(const std::string& key, const std::vector<std::string>& names) {
  const std::string value = Text(key);
  const auto found = std::find(names.begin(), names.end(), value);
  if (found == names.end()) {
    Fail(key, fmt::format("is '{}'; expected one of {}", value, fmt::join(names, ", ")));
  }
  return static_cast<size_t>(found - names.begin());
}

void YamlMap::Done() const {
  for (const auto& entry : node_) {
    const std::string& key = entry.first.Scalar();
    if (taken_.contains(key)) continue;
    FailAt(
        path_, entry.first.Mark(),
        fmt::format("unknown key '{}' in {}; known keys: {}", key, what_, fmt::join(taken_, ", ")));
  }
}

}  // namespace ppx::base
