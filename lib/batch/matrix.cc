#include "batch/matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "base/digest.h"
#include "base/error.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxVariants = 100'000;
constexpr size_t kMaxFolderBytes = 200;
constexpr std::array<std::string_view, 5> kAxes = {"persona", "voice", "text", "seed", "config"};

struct Value {
  std::string text;
  std::string name;  // in the folder
};

struct Axis {
  std::string name;
  std::vector<Value> values;
};

std::string Safe(std::string_view text) {
  std::string safe(text);
  for (char& c : safe) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-';
    if (!plain) c = '_';
  }
  return safe;
}

std::string NameOfPath(const std::string& text) {
  constexpr std::array<std::string_view, 7> kEndings = {".yaml",        ".yml", ".json", ".pt",
                                                        ".safetensors", ".wav", ".flac"};
  fs::path path = fs::path(text).filename();
  if (std::find(kEndings.begin(), kEndings.end(), path.extension().string()) != kEndings.end()) {
    path = path.stem();
  }
  return Safe(path.string());
}

std::string NameOfText(const std::string& text) {
  constexpr size_t kBeginning = 24;
  constexpr size_t kDigits = 8;
  return Safe(std::string_view(text).substr(0, kBeginning)) + "-" +
         base::Sha256Hex(std::as_bytes(std::span(text))).substr(0, kDigits);
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

[[noreturn]] void Fail(const std::string& axis, const std::string& message) {
  base::ThrowUsage(fmt::format("--matrix {}: {}", axis, message));
}

int64_t ParseSeed(std::string_view text, const std::string& axis) {
  int64_t seed = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc() || end != text.data() + text.size() || seed < 0) {
    Fail(axis, fmt::format("'{}' is no seed; expected whole numbers of 0 or more, such as 1,2,5..8",
                           text));
  }
  return seed;
}

std::vector<std::string> Seeds(const std::vector<std::string>& parts, const std::string& axis) {
  std::vector<std::string> seeds;
  for (const std::string& part : parts) {
    const size_t dots = part.find("..");
    const int64_t first = ParseSeed(std::string_view(part).substr(0, dots), axis);
    const int64_t last = dots == std::string::npos
                             ? first
                             : ParseSeed(std::string_view(part).substr(dots + 2), axis);
    if (last < first) Fail(axis, part + " is empty; expected the lower seed first");
    if (static_cast<uint64_t>(last - first) >= kMaxVariants - seeds.size()) {
      Fail(axis, fmt::format("more than {} seeds", kMaxVariants));
    }
    for (int64_t offset = 0; offset <= last - first; ++offset) {
      seeds.push_back(std::to_string(first + offset));
    }
  }
  return seeds;
}

Axis ParseAxis(const std::string& text) {
  const size_t equals = text.find('=');
  Axis axis;
  axis.name = text.substr(0, equals);
  if (equals == std::string::npos ||
      std::find(kAxes.begin(), kAxes.end(), axis.name) == kAxes.end()) {
    Fail(text, "expected persona=, voice=, text=, seed= or config= with values");
  }
  const std::string values = text.substr(equals + 1);
  std::vector<std::string> parts = Split(values, axis.name == "text" ? '|' : ',');
  if (axis.name == "seed") parts = Seeds(parts, text);
  std::set<std::string> seen;
  std::map<std::string, std::string> value_of_name;
  for (std::string& part : parts) {
    if (part.empty()) Fail(text, "has an empty value");
    if (!seen.insert(part).second) Fail(text, fmt::format("has '{}' twice", part));
    std::string name = axis.name == "seed"   ? part
                       : axis.name == "text" ? NameOfText(part)
                                             : NameOfPath(part);
    if (name.empty()) Fail(text, fmt::format("'{}' names no file", part));
    const auto [first, fresh] = value_of_name.emplace(name, part);
    if (!fresh) {
      Fail(text, fmt::format("'{}' and '{}' would share the folder {}={}; rename one",
                             first->second, part, axis.name, name));
    }
    axis.values.push_back({std::move(part), std::move(name)});
  }
  return axis;
}

void Put(Variant& variant, const std::string& axis, const Value& value) {
  if (axis == "persona") variant.persona = value.text;
  if (axis == "voice") variant.voice = value.text;
  if (axis == "text") variant.text = value.text;
  if (axis == "config") variant.config = value.text;
  if (axis == "seed") variant.seed = ParseSeed(value.text, axis);
  variant.folder += fmt::format("{}{}={}", variant.folder.empty() ? "" : ",", axis, value.name);
}

}  // namespace

std::vector<Variant> MakeVariants(const std::vector<std::string>& axes) {
  std::vector<Variant> variants(1);
  std::set<std::string> names;
  for (const std::string& text : axes) {
    const Axis axis = ParseAxis(text);
    if (!names.insert(axis.name).second) {
      Fail(text, fmt::format("the axis {} is given twice; give all its values at once", axis.name));
    }
    if (axis.values.size() > kMaxVariants / variants.size()) {
      Fail(text, fmt::format("more than {} variants", kMaxVariants));
    }
    std::vector<Variant> product;
    for (const Variant& variant : variants) {
      for (const Value& value : axis.values) Put(product.emplace_back(variant), axis.name, value);
    }
    variants = std::move(product);
  }
  for (const Variant& variant : variants) {
    if (variant.folder.size() > kMaxFolderBytes) {
      Fail(variant.folder, fmt::format("the folder's name is longer than {} bytes; use shorter "
                                       "names",
                                       kMaxFolderBytes));
    }
  }
  return variants;
}

DialogueRequest Apply(const Variant& variant, DialogueRequest request) {
  if (!variant.folder.empty()) request.id = variant.folder + "/" + request.id;
  if (variant.persona) {
    request.persona = variant.persona;
    request.text_prompt.reset();
    request.voice_prompt.reset();
  }
  if (variant.voice) request.voice_prompt = variant.voice;
  if (variant.text) request.text_prompt = variant.text;
  if (variant.seed) request.seed = variant.seed;
  return request;
}

}  // namespace ppx::batch
