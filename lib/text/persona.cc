#include "text/persona.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <set>
#include <sstream>
#include <system_error>

#include "base/error.h"
#include "text/small_file.h"

namespace ppx::text {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxPersonaBytes = size_t{1} << 20;

// yaml-cpp counts from 0, editors from 1.
[[noreturn]] void Fail(const std::string& path, const YAML::Mark& mark,
                       const std::string& message) {
  if (mark.is_null()) base::ThrowBadInput(fmt::format("{}: {}", path, message));
  base::ThrowBadInput(fmt::format("{}:{}:{}: {}", path, mark.line + 1, mark.column + 1, message));
}

// One key's value, on its way into the record.
struct Value {
  const std::string& path;
  const std::string& key;
  const YAML::Node& node;

  [[noreturn]] void WrongType(const char* expected) const {
    Fail(path, node.Mark(), fmt::format("'{}' must be {}", key, expected));
  }

  std::string Text() const {
    if (!node.IsScalar()) WrongType("a text; an empty one is written \"\"");
    return node.Scalar();
  }

  template <typename T>
  T Plain(const char* expected) const {
    // yaml-cpp would convert a quoted number too, but what is quoted is a text.
    constexpr const char* kQuoted = "!";
    if (!node.IsScalar() || node.Tag() == kQuoted) WrongType(expected);
    try {
      return node.as<T>();
    } catch (const YAML::BadConversion&) {
      WrongType(expected);
    }
  }

  double Temperature() const {
    constexpr const char* kExpected = "a number of 0 or more";
    const auto value = Plain<double>(kExpected);
    if (!std::isfinite(value) || value < 0) WrongType(kExpected);
    return value;
  }

  int TopK() const {
    constexpr const char* kExpected = "a whole number of 0 or more (0: no limit)";
    const int value = Plain<int>(kExpected);
    if (value < 0) WrongType(kExpected);
    return value;
  }
};

struct Key {
  std::string_view name;
  void (*read)(const Value& value, Persona& persona);
};

constexpr std::array<Key, 9> kKeys = {{
    {"name", [](const Value& v, Persona& p) { p.name = v.Text(); }},
    {"description", [](const Value& v, Persona& p) { p.description = v.Text(); }},
    {"text_prompt", [](const Value& v, Persona& p) { p.text_prompt = v.Text(); }},
    {"voice", [](const Value& v, Persona& p) { p.voice = v.Text(); }},
    {"temp_audio", [](const Value& v, Persona& p) { p.temp_audio = v.Temperature(); }},
    {"temp_text", [](const Value& v, Persona& p) { p.temp_text = v.Temperature(); }},
    {"topk_audio", [](const Value& v, Persona& p) { p.topk_audio = v.TopK(); }},
    {"topk_text", [](const Value& v, Persona& p) { p.topk_text = v.TopK(); }},
    {"greedy", [](const Value& v, Persona& p) { p.greedy = v.Plain<bool>("true or false"); }},
}};

std::string KnownKeys() {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) names.push_back(key.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

const Key* FindKey(std::string_view name) {
  for (const Key& key : kKeys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

Persona ReadMap(const YAML::Node& map, const std::string& path) {
  Persona persona;
  persona.path = path;
  persona.name = fs::path(path).stem().string();
  std::set<std::string> seen;
  for (const auto& entry : map) {
    const YAML::Node& key_node = entry.first;
    const std::string name = key_node.IsScalar() ? key_node.Scalar() : "";
    const Key* const key = FindKey(name);
    if (key == nullptr) {
      Fail(path, key_node.Mark(),
           fmt::format("unknown key '{}'; known keys: {}", name, KnownKeys()));
    }
    if (!seen.insert(name).second) {
      Fail(path, key_node.Mark(), fmt::format("'{}' is given twice; keep one", name));
    }
    key->read(Value{path, name, entry.second}, persona);
  }
  if (!seen.contains("text_prompt")) {
    Fail(path, map.Mark(),
         fmt::format(
             "'text_prompt' is missing; write \"\" for a persona without one. Known keys: {}",
             KnownKeys()));
  }
  return persona;
}

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

bool IsFile(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

}  // namespace

Persona LoadPersona(const std::string& path) {
  return ParsePersona(ReadSmallFile(path, kMaxPersonaBytes, "a persona file (YAML)"), path);
}

Persona ParsePersona(const std::string& yaml, const std::string& path) {
  try {
    const YAML::Node document = HasOneDocument(yaml) ? YAML::Load(yaml) : YAML::Node();
    if (!document.IsMap()) {
      base::ThrowBadInput(
          fmt::format("{}: expected one YAML document of 'key: value' lines; known keys: {}", path,
                      KnownKeys()));
    }
    return ReadMap(document, path);
  } catch (const YAML::Exception& error) {
    Fail(path, error.mark, fmt::format("not valid YAML: {}", error.msg));
  }
}

std::string FindVoice(const std::string& voice, const std::string& persona_path,
                      const std::vector<std::string>& voice_folders) {
  if (voice.empty()) base::ThrowBadInput("no voice is named");
  std::vector<std::string> candidates = {
      (fs::path(persona_path).parent_path() / voice).lexically_normal().string()};
  if (voice.find('/') == std::string::npos) {
    for (const std::string& folder : voice_folders) {
      for (const char* const extension : {"", ".pt", ".safetensors", ".wav"}) {
        candidates.push_back((fs::path(folder) / (voice + extension)).string());
      }
    }
  }
  for (const std::string& candidate : candidates) {
    if (IsFile(candidate)) return candidate;
  }
  base::ThrowBadInput(fmt::format("{}voice '{}' was not found; looked for {}",
                                  persona_path.empty() ? "" : persona_path + ": ", voice,
                                  fmt::join(candidates, ", ")));
}

}  // namespace ppx::text
