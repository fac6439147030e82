#include "batch/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/small_file.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kMaxManifestBytes = size_t{1} << 30;
constexpr size_t kMaxErrors = 20;
constexpr size_t kMaxNameBytes = 255;  // of a folder, on Linux
constexpr size_t kMaxIdBytes = 1024;
constexpr double kMaxSeconds = 3600;
constexpr double kMaxTemperature = 100;

// A value as it was given, short enough for a message.
std::string Shown(const json& value) {
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  constexpr size_t kMaxShown = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return text;
}

[[noreturn]] void Wrong(const std::string& key, const json& value, const std::string& expected) {
  base::ThrowBadInput(fmt::format("{} is {}; expected {}", key, Shown(value), expected));
}

// One object's values, taken key by key; what nobody took is unknown.
class Fields {
 public:
  explicit Fields(const json& object) : object_(object) {}

  std::optional<std::string> Text(const std::string& key) {
    const json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) Wrong(key, *value, "a text");
    auto text = value->get<std::string>();
    if (text.find('\0') != std::string::npos) Wrong(key, *value, "a text without NUL");
    return text;
  }
  std::optional<std::string> Name(const std::string& key, const std::string& what) {
    std::optional<std::string> text = Text(key);
    if (text && text->empty()) base::ThrowBadInput(key + " is empty; expected " + what);
    return text;
  }
  std::optional<int64_t> Whole(const std::string& key, int64_t high) {
    const json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    const bool fits =
        value->is_number_unsigned() && value->get<uint64_t>() <= static_cast<uint64_t>(high);
    if (!fits) Wrong(key, *value, fmt::format("a whole number from 0 to {}", high));
    return value->get<int64_t>();
  }
  std::optional<int> Small(const std::string& key) {
    const std::optional<int64_t> value = Whole(key, std::numeric_limits<int>::max());
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
  }
  std::optional<double> Number(const std::string& key, double high, const std::string& expected) {
    const json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    const double number = value->is_number() ? value->get<double>() : -1;
    if (!(number >= 0 && number <= high)) Wrong(key, *value, expected);
    return number;
  }
  std::optional<bool> Flag(const std::string& key) {
    const json* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_boolean()) Wrong(key, *value, "true or false");
    return value->get<bool>();
  }
  void Done() const {
    for (const auto& [key, value] : object_.items()) {
      if (known_.contains(key)) continue;
      std::string names;
      for (const std::string& name : known_) names += (names.empty() ? "" : ", ") + name;
      base::ThrowBadInput(
          fmt::format("unknown key {}; expected one of {}", Shown(json(key)), names));
    }
  }

 private:
  const json* Find(const std::string& key) {
    known_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }

  const json& object_;
  std::set<std::string> known_;
};

// Keys given twice in the outermost object would silently lose a value.
json ParseObject(std::string_view line) {
  std::set<std::string> keys;
  json object;
  try {
    object = json::parse(line, [&](int depth, json::parse_event_t event, json& parsed) {
      if (event == json::parse_event_t::key && depth == 1 &&
          !keys.insert(parsed.get<std::string>()).second) {
        base::ThrowBadInput(fmt::format("key {} is given twice", Shown(parsed)));
      }
      return true;
    });
  } catch (const json::parse_error& error) {
    base::ThrowBadInput(
        fmt::format("not valid JSON at byte {}; expected one object a line", error.byte));
  } catch (const json::exception&) {
    base::ThrowBadInput("a number is too large; expected one JSON object a line");
  }
  if (!object.is_object()) {
    base::ThrowBadInput(fmt::format("is {}; expected one JSON object a line", Shown(object)));
  }
  return object;
}

DialogueRequest ParseRequest(std::string_view line, const fs::path& folder) {
  const json object = ParseObject(line);
  Fields fields(object);
  DialogueRequest request;
  const std::optional<std::string> id = fields.Text("id");
  const auto path = [&](const char* key) -> std::optional<std::string> {
    const std::optional<std::string> text = fields.Name(key, "a path");
    if (!text) return std::nullopt;
    return (folder / *text).string();
  };
  request.audio = path("audio");
  request.script = path("script");
  request.channel = fields.Small("channel");
  request.persona = fields.Name("persona", "a name or a path");
  request.text_prompt = fields.Text("text_prompt");
  request.voice_prompt = fields.Name("voice_prompt", "a name or a path");
  request.seed = fields.Whole("seed", std::numeric_limits<int64_t>::max());
  request.greedy = fields.Flag("greedy");
  const std::string temperature = "a number from 0 (greedy) to 100";
  request.temp_audio = fields.Number("temp_audio", kMaxTemperature, temperature);
  request.temp_text = fields.Number("temp_text", kMaxTemperature, temperature);
  request.topk_audio = fields.Small("topk_audio");
  request.topk_text = fields.Small("topk_text");
  const std::string seconds = "0 to 3600 seconds";
  request.lead_in_s = fields.Number("lead_in", kMaxSeconds, seconds);
  request.tail_s = fields.Number("tail", kMaxSeconds, seconds);
  fields.Done();
  if (!id) base::ThrowBadInput("no id; expected a name that becomes the dialogue's folder");
  if (const auto wrong = WrongWithId(*id)) {
    base::ThrowBadInput(fmt::format("id {} {}", Shown(json(*id)), *wrong));
  }
  request.id = *id;
  if (request.audio.has_value() == request.script.has_value()) {
    base::ThrowBadInput(request.audio ? "both audio and script; expected one of them"
                                      : "neither audio nor script; expected one of them");
  }
  return request;
}

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

std::optional<std::string> WrongWithId(std::string_view id) {
  if (id.empty()) return "is empty; expected a name";
  if (id.size() > kMaxIdBytes) {
    return fmt::format("has {} bytes; expected at most {}", id.size(), kMaxIdBytes);
  }
  if (id.front() == '/') return "begins with /; expected a path inside the output folder";
  for (const char c : id) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "has a control character";
  }
  for (size_t begin = 0; begin <= id.size();) {
    const size_t end = std::min(id.find('/', begin), id.size());
    const std::string_view name = id.substr(begin, end - begin);
    if (name.empty()) return "has an empty folder name; expected names between single /";
    if (name.front() == '.') return "has a folder name that begins with a dot";
    if (name.size() > kMaxNameBytes) {
      return fmt::format("has a folder name of {} bytes; expected at most {}", name.size(),
                         kMaxNameBytes);
    }
    begin = end + 1;
  }
  return std::nullopt;
}

ParsedManifest ParseManifest(std::string_view text, const std::string& path) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const fs::path folder = fs::path(path).parent_path();
  ParsedManifest manifest;
  std::map<std::string, int64_t> line_of;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (IsBlank(line)) continue;
    const std::string where = fmt::format("{}:{}", path, number);
    try {
      DialogueRequest request = ParseRequest(line, folder);
      request.where = where;
      const auto [first, fresh] = line_of.emplace(request.id, number);
      if (!fresh) {
        base::ThrowBadInput(fmt::format("id {} is that of line {} too; expected another name",
                                        Shown(json(request.id)), first->second));
      }
      manifest.requests.push_back(std::move(request));
    } catch (const base::Error& error) {
      manifest.errors.push_back(fmt::format("{}: {}", where, error.what()));
      if (manifest.errors.size() == kMaxErrors) break;
    }
  }
  return manifest;
}

std::vector<DialogueRequest> ReadManifest(const std::string& path) {
  ParsedManifest manifest =
      ParseManifest(base::ReadSmallFile(path, kMaxManifestBytes, "a manifest (JSON lines)"), path);
  if (!manifest.errors.empty()) {
    std::string message = manifest.errors.front();
    const size_t more = manifest.errors.size() - 1;
    if (more > 0) {
      message +=
          fmt::format(" (and {}{} more error{})", more,
                      manifest.errors.size() == kMaxErrors ? " or" : "", more == 1 ? "" : "s");
    }
    base::ThrowBadInput(message);
  }
  if (manifest.requests.empty()) {
    base::ThrowBadInput(path + ": no dialogue in it; expected one JSON object a line");
  }
  return std::move(manifest.requests);
}

}  // namespace ppx::batch
