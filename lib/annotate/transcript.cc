#include "annotate/transcript.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/small_file.h"

namespace ppx::annotate {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFileBytes = size_t{64} << 20;
constexpr std::string_view kBlanks = " \t\r\n";

[[noreturn]] void Fail(const std::string& path, const std::string& message) {
  base::ThrowBadInput(fmt::format("{}: {}", path, message));
}

Json Parse(std::string_view text, const std::string& path) {
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {
    Fail(path, fmt::format("not valid JSON ({})", error.what()));
  }
}

// `where` names the element in messages, here and below: "chunk 3".
void RequireObject(const Json& json, const std::string& path, const std::string& where) {
  if (json.is_object()) return;
  Fail(path, fmt::format("{} is {}, expected an object", where, json.type_name()));
}

// No value where the key is missing.
std::optional<std::string> MaybeText(const Json& object, const char* key, const std::string& path,
                                     const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  if (!found->is_string()) {
    Fail(path, fmt::format("{}: '{}' is {}, expected a string", where, key, found->type_name()));
  }
  return found->get<std::string>();
}

std::optional<double> Time(const Json& json, const std::string& path, const std::string& where) {
  if (json.is_null()) return std::nullopt;
  if (!json.is_number()) {
    Fail(path, fmt::format("{}: a time is {}, expected seconds or null", where, json.type_name()));
  }
  return json.get<double>();
}

std::pair<std::optional<double>, std::optional<double>> Times(const Json& object,
                                                              const std::string& path,
                                                              const std::string& where) {
  const auto found = object.find("timestamp");
  if (found == object.end() || !found->is_array() || found->size() != 2) {
    Fail(path, fmt::format("{}: expected 'timestamp': [start, end]", where));
  }
  return {Time(found->at(0), path, where), Time(found->at(1), path, where)};
}

// The chunks of the list `key`; `owner` comes before their names in messages.
std::vector<base::Chunk> Chunks(const Json& object, const char* key, const std::string& path,
                                const std::string& owner) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) {
    Fail(path, fmt::format("{}expected a list '{}' of words with times", owner, key));
  }
  std::vector<base::Chunk> chunks;
  chunks.reserve(found->size());
  for (const Json& item : *found) {
    const std::string where = fmt::format("{}chunk {}", owner, chunks.size() + 1);
    RequireObject(item, path, where);
    auto text = MaybeText(item, "text", path, where);
    if (!text) Fail(path, fmt::format("{}: no 'text'", where));
    const auto [start_s, end_s] = Times(item, path, where);
    chunks.push_back({*std::move(text), start_s, end_s});
  }
  return chunks;
}

std::string Joined(const std::vector<base::Chunk>& chunks) {
  std::string text;
  for (const base::Chunk& chunk : chunks) {
    const size_t first = chunk.text.find_first_not_of(kBlanks);
    if (first == std::string::npos) continue;
    const size_t last = chunk.text.find_last_not_of(kBlanks);
    if (!text.empty()) text += ' ';
    text += chunk.text.substr(first, last - first + 1);
  }
  return text;
}

// What is wrong with the times; empty for nothing.
std::string TimeProblem(const base::Chunk& chunk) {
  if (!chunk.start_s) return "no start time";
  if (!std::isfinite(*chunk.start_s) || (chunk.end_s && !std::isfinite(*chunk.end_s))) {
    return "a time that is not finite";
  }
  if (*chunk.start_s < 0)
    return fmt::format("starts at {} s, before the recording", *chunk.start_s);
  if (chunk.end_s && *chunk.end_s < *chunk.start_s) {
    return fmt::format("ends at {} s, before its start at {} s", *chunk.end_s, *chunk.start_s);
  }
  return "";
}

nlohmann::ordered_json TimeJson(const std::optional<double>& time_s) {
  if (!time_s) return nullptr;
  if (!std::isfinite(*time_s)) base::ThrowInternal("a transcript with a time that is not finite");
  return *time_s;
}

}  // namespace

Transcript ParseTranscript(std::string_view json, const std::string& name) {
  const Json root = Parse(json, name);
  RequireObject(root, name, "the transcript");
  Transcript transcript;
  transcript.chunks = Chunks(root, "chunks", name, "");
  auto text = MaybeText(root, "text", name, "the transcript");
  transcript.text = text ? *std::move(text) : Joined(transcript.chunks);
  return transcript;
}

Transcript ReadTranscript(const std::string& path) {
  return ParseTranscript(base::ReadSmallFile(path, kMaxFileBytes, "a transcript in JSON"), path);
}

std::optional<std::string> Problem(const Transcript& transcript) {
  for (size_t i = 0; i < transcript.chunks.size(); ++i) {
    const std::string problem = TimeProblem(transcript.chunks[i]);
    if (problem.empty()) continue;
    return fmt::format("chunk {} ('{}'): {}", i + 1, transcript.chunks[i].text, problem);
  }
  return std::nullopt;
}

std::string ToJson(const Transcript& transcript) {
  using nlohmann::ordered_json;
  ordered_json chunks = ordered_json::array();
  for (const base::Chunk& chunk : transcript.chunks) {
    ordered_json times = ordered_json::array();
    times.push_back(TimeJson(chunk.start_s));
    times.push_back(TimeJson(chunk.end_s));
    ordered_json item;
    item["text"] = chunk.text;
    item["timestamp"] = std::move(times);
    chunks.push_back(std::move(item));
  }
  ordered_json root;
  root["text"] = transcript.text;
  root["chunks"] = std::move(chunks);
  return root.dump(4, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

void WriteTranscript(const std::string& path, const Transcript& transcript) {
  base::WriteFileAtomically(path, ToJson(transcript));
}

std::vector<Annotation> ReadAnnotations(const std::string& path) {
  const Json root = Parse(base::ReadSmallFile(path, kMaxFileBytes, "annotations in JSON"), path);
  if (!root.is_array()) {
    Fail(path, fmt::format("the file is {}, expected a list of events", root.type_name()));
  }
  std::vector<Annotation> annotations;
  for (const Json& item : root) {
    const std::string where = fmt::format("event {}", annotations.size() + 1);
    RequireObject(item, path, where);
    Annotation annotation;
    annotation.text = MaybeText(item, "text", path, where).value_or("");
    annotation.context = MaybeText(item, "context", path, where).value_or("");
    annotation.interrupt = MaybeText(item, "interrupt", path, where).value_or("");
    std::tie(annotation.start_s, annotation.end_s) = Times(item, path, where);
    annotations.push_back(std::move(annotation));
  }
  return annotations;
}

}  // namespace ppx::annotate
