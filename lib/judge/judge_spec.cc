#include "judge/judge_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <span>
#include <string_view>

#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"
#include "base/strict_yaml.h"

namespace ppx::judge {
namespace {

using base::YamlMap;

constexpr size_t kMaxSpecBytes = size_t{1} << 20;
constexpr int kMaxVersion = 1000000;
constexpr int kMaxMaxTokens = 1 << 20;
constexpr int kMaxMark = 1000;
constexpr double kMaxTemperature = 2;
constexpr const char* kNameRule = "must be lower-case letters, digits and '_', a letter first";

bool IsName(std::string_view text) {
  return !text.empty() && text[0] >= 'a' && text[0] <= 'z' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

bool Contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

int WholeInt(YamlMap& map, const std::string& key, int low, int high) {
  return static_cast<int>(map.Whole(key, low, high));
}

std::string FilledText(YamlMap& map, const std::string& key) {
  std::string text = map.Text(key);
  if (text.empty()) map.Fail(key, "must not be empty");
  return text;
}

// At least `fewest` different texts, none of them empty.
std::vector<std::string> TextList(YamlMap& map, const std::string& key, size_t fewest) {
  map.Take(key);
  std::vector<std::string> texts = map.Texts(key);
  if (texts.size() < fewest) map.Fail(key, fmt::format("must list at least {}", fewest));
  std::set<std::string> seen;
  for (const std::string& text : texts) {
    if (text.empty()) map.Fail(key, "must not hold an empty text");
    if (!seen.insert(text).second) map.Fail(key, fmt::format("has '{}' twice; keep one", text));
  }
  return texts;
}

std::vector<std::string> NameList(YamlMap& map, const std::string& key) {
  std::vector<std::string> names = TextList(map, key, 1);
  for (const std::string& name : names) {
    if (!IsName(name)) map.Fail(key, fmt::format("has '{}', but names {}", name, kNameRule));
  }
  return names;
}

// Where `part`, which is text of the scalar at `mark`, stands in the file; `mark` itself where it
// cannot be found, as a folded or escaped scalar may have it.
YAML::Mark PlaceInside(const std::string& yaml, const YAML::Mark& mark, std::string_view part) {
  int line = 0;
  for (size_t begin = 0; begin < yaml.size(); ++line) {
    const size_t end = std::min(yaml.find('\n', begin), yaml.size());
    const std::string_view text = std::string_view(yaml).substr(begin, end - begin);
    const size_t at = line < mark.line ? std::string_view::npos : text.find(part);
    if (at != std::string_view::npos) {
      YAML::Mark place;
      place.pos = static_cast<int>(begin + at);
      place.line = line;
      // yaml-cpp's columns count characters, not bytes.
      place.column = static_cast<int>(
          std::count_if(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at),
                        [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
      return place;
    }
    begin = end + 1;
  }
  return mark;
}

// Cuts the template `key` at its placeholders.
PromptTemplate ReadTemplate(YamlMap& map, const std::string& key, const std::string& yaml,
                            const std::vector<std::string>& placeholders) {
  const std::string text = FilledText(map, key);
  const auto fail_at = [&](std::string_view part, const std::string& message) {
    base::FailAt(map.path(), PlaceInside(yaml, map.Take(key).Mark(), part), message);
  };
  PromptTemplate pieces;
  std::string literal;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '{' && c != '}') {
      literal += c;
      continue;
    }
    if (i + 1 < text.size() && text[i + 1] == c) {
      literal += c;
      ++i;
      continue;
    }
    const size_t close = c == '{' ? text.find('}', i) : std::string::npos;
    const std::string name = close == std::string::npos ? "" : text.substr(i + 1, close - i - 1);
    if (!IsName(name)) {
      const std::string_view rest = std::string_view(text).substr(i);
      fail_at(rest.substr(0, rest.find('\n')),
              fmt::format("a stray '{0}' in '{1}'; write {0}{0} for a brace, {{name}} for a "
                          "placeholder",
                          c, key));
    }
    if (!Contains(placeholders, name)) {
      fail_at(fmt::format("{{{}}}", name),
              fmt::format("unknown placeholder {{{}}} in '{}'; 'placeholders' has {}", name, key,
                          fmt::join(placeholders, ", ")));
    }
    if (!literal.empty()) pieces.push_back({literal, false});
    literal.clear();
    pieces.push_back({name, true});
    i = close;
  }
  if (!literal.empty()) pieces.push_back({literal, false});
  return pieces;
}

void CheckPlaceholdersUsed(const YamlMap& map, const JudgeSpec& spec) {
  for (const std::string& name : spec.placeholders) {
    const auto uses = [&](const PromptPiece& piece) {
      return piece.is_placeholder && piece.text == name;
    };
    if (std::none_of(spec.system.begin(), spec.system.end(), uses) &&
        std::none_of(spec.user.begin(), spec.user.end(), uses)) {
      map.Fail("placeholders",
               fmt::format("has '{0}', but {{{0}}} is missing in 'system' and 'user'", name));
    }
  }
}

void ReadAnswer(YamlMap map, JudgeSpec& spec) {
  if (map.Choice("kind", {"score", "label"}) == 0) {
    spec.kind = AnswerKind::kScore;
    spec.fields = NameList(map, "fields");
    spec.scale.lowest = static_cast<int>(map.Whole("lowest", 0, kMaxMark, spec.scale.lowest));
    spec.scale.highest = static_cast<int>(map.Whole("highest", 0, kMaxMark, spec.scale.highest));
    if (spec.scale.lowest >= spec.scale.highest) {
      map.Fail("highest", fmt::format("must be above the lowest mark, {}", spec.scale.lowest));
    }
  } else {
    spec.kind = AnswerKind::kLabel;
    spec.fields = {FilledText(map, "field")};
    if (!IsName(spec.fields[0])) map.Fail("field", kNameRule);
    spec.labels = TextList(map, "labels", 2);
  }
  map.Done();
}

// One mark, or [lowest, highest].
ScoreRange ReadRange(YamlMap& map, const std::string& field, const ScoreRange& scale) {
  if (map.Take(field).IsScalar()) {
    const int only = WholeInt(map, field, scale.lowest, scale.highest);
    return {only, only};
  }
  const std::vector<YAML::Node> bounds = map.List(field);
  ScoreRange range;
  const bool two_numbers = bounds.size() == 2 &&
                           YAML::convert<int>::decode(bounds[0], range.lowest) &&
                           YAML::convert<int>::decode(bounds[1], range.highest);
  if (!two_numbers || range.lowest < scale.lowest || range.lowest > range.highest ||
      range.highest > scale.highest) {
    map.Fail(field, fmt::format("must be a mark from {} to {}, or [lowest, highest] of them",
                                scale.lowest, scale.highest));
  }
  return range;
}

Control ReadControl(YamlMap map, const JudgeSpec& spec) {
  Control control;
  control.name = FilledText(map, "name");
  YamlMap values = map.Map("values", fmt::format("the values of control '{}'", control.name));
  for (const std::string& name : spec.placeholders) control.values[name] = values.Text(name);
  values.Done();
  YamlMap expect = map.Map("expect", fmt::format("'expect' of control '{}'", control.name));
  for (const std::string& field : spec.fields) {
    if (spec.kind == AnswerKind::kScore) {
      control.scores[field] = ReadRange(expect, field, spec.scale);
      continue;
    }
    control.labels = TextList(expect, field, 1);
    for (const std::string& label : control.labels) {
      if (!Contains(spec.labels, label)) {
        expect.Fail(field, fmt::format("has '{}', which is not one of the labels {}", label,
                                       fmt::join(spec.labels, ", ")));
      }
    }
  }
  expect.Done();
  map.Done();
  return control;
}

void ReadControls(YamlMap& map, JudgeSpec& spec) {
  map.Take("controls");
  for (const YAML::Node& node : map.List("controls")) {
    Control control = ReadControl(YamlMap(node, map.path(), "a control"), spec);
    for (const Control& other : spec.controls) {
      if (other.name == control.name) {
        base::FailAt(map.path(), node.Mark(),
                     fmt::format("two controls are named '{}'", control.name));
      }
    }
    spec.controls.push_back(std::move(control));
  }
  if (spec.controls.empty()) {
    map.Fail("controls", "must list at least one case with a known answer");
  }
}

JudgeSpec ReadSpec(YamlMap map, const std::string& yaml) {
  JudgeSpec spec;
  spec.path = map.path();
  spec.sha256 = base::Sha256Hex(std::as_bytes(std::span(yaml)));
  spec.name = map.Text("name");
  if (!IsName(spec.name)) map.Fail("name", kNameRule);
  spec.version = WholeInt(map, "version", 1, kMaxVersion);
  spec.description = map.Text("description", "");
  spec.model = FilledText(map, "model");
  spec.temperature = map.MaybeNumber("temperature").value_or(0);
  if (spec.temperature < 0 || spec.temperature > kMaxTemperature) {
    map.Fail("temperature", fmt::format("must be 0 to {}", kMaxTemperature));
  }
  spec.max_tokens = WholeInt(map, "max_tokens", 1, kMaxMaxTokens);
  spec.placeholders = NameList(map, "placeholders");
  if (map.Has("system")) spec.system = ReadTemplate(map, "system", yaml, spec.placeholders);
  spec.user = ReadTemplate(map, "user", yaml, spec.placeholders);
  CheckPlaceholdersUsed(map, spec);
  ReadAnswer(map.Map("answer", "'answer'"), spec);
  ReadControls(map, spec);
  map.Done();
  return spec;
}

}  // namespace

JudgeSpec LoadJudgeSpec(const std::string& path) {
  return ParseJudgeSpec(base::ReadSmallFile(path, kMaxSpecBytes, "a judge's file (YAML)"), path);
}

JudgeSpec ParseJudgeSpec(const std::string& yaml, const std::string& path) {
  return ReadSpec(base::ParseYaml(yaml, path, "a judge's file"), yaml);
}

std::string RenderPrompt(const PromptTemplate& prompt,
                         const std::map<std::string, std::string>& values) {
  std::string text;
  for (const PromptPiece& piece : prompt) {
    if (!piece.is_placeholder) {
      text += piece.text;
      continue;
    }
    const auto value = values.find(piece.text);
    if (value == values.end()) {
      base::ThrowBadInput(fmt::format("no value for the judge's placeholder {{{}}}", piece.text));
    }
    text += value->second;
  }
  return text;
}

}  // namespace ppx::judge
