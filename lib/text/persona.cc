#include "text/persona.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <limits>
#include <system_error>

#include "base/error.h"
#include "base/small_file.h"
#include "base/strict_yaml.h"

namespace ppx::text {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxPersonaBytes = size_t{1} << 20;

double Temperature(base::YamlMap& map, const std::string& key) {
  const double value = map.Number(key);
  if (value < 0) map.Fail(key, "must be a number of 0 or more");
  return value;
}

bool IsFile(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

}  // namespace

Persona LoadPersona(const std::string& path) {
  return ParsePersona(base::ReadSmallFile(path, kMaxPersonaBytes, "a persona file (YAML)"), path);
}

Persona ParsePersona(const std::string& yaml, const std::string& path) {
  base::YamlMap map = base::ParseYaml(yaml, path, "a persona");
  Persona persona;
  persona.path = path;
  persona.name = map.Text("name", fs::path(path).stem().string());
  persona.description = map.Text("description", "");
  persona.text_prompt = map.Text("text_prompt");
  if (map.Has("voice")) persona.voice = map.Text("voice");
  if (map.Has("temp_audio")) persona.temp_audio = Temperature(map, "temp_audio");
  if (map.Has("temp_text")) persona.temp_text = Temperature(map, "temp_text");
  constexpr int kNoLimit = std::numeric_limits<int>::max();
  if (map.Has("topk_audio")) {
    persona.topk_audio = static_cast<int>(map.Whole("topk_audio", 0, kNoLimit));
  }
  if (map.Has("topk_text")) {
    persona.topk_text = static_cast<int>(map.Whole("topk_text", 0, kNoLimit));
  }
  if (map.Has("greedy")) persona.greedy = map.Flag("greedy", false);
  map.Done();
  return persona;
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
