// lib/base/strict_yaml.h: configuration files in YAML, read so that a slip of the pen is an error
// with its place: unknown keys, keys given twice, wrong types, missing keys.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ppx::base {

// A mapping whose keys are taken one by one. `Done` fails for what nobody took; call it last.
// Every member throws Error (kBadInput): "PATH:LINE:COLUMN: what, and what was expected".
class YamlMap {
 public:
  // `what` names the mapping in messages: "a task". `path` names the file.
  YamlMap(const YAML::Node& node, std::string path, std::string what);

  // The key counts as known from then on.
  bool Has(const std::string& key);
  // The key's node; fails where it is missing.
  YAML::Node Take(const std::string& key);

  std::string Text(const std::string& key);
  std::string Text(const std::string& key, const std::string& fallback);
  double Number(const std::string& key);  // finite
  std::optional<double> MaybeNumber(const std::string& key);
  int64_t Whole(const std::string& key, int64_t low, int64_t high);
  int64_t Whole(const std::string& key, int64_t low, int64_t high, int64_t fallback);
  bool Flag(const std::string& key, bool fallback);
  // One text, or a list of texts. No value for a missing key.
  std::vector<std::string> Texts(const std::string& key);
  // A list; empty for a missing key.
  std::vector<YAML::Node> List(const std::string& key);
  YamlMap Map(const std::string& key, const std::string& what);
  // The keys in the order of the file, for mappings whose keys are names.
  std::vector<std::string> Keys() const;
  // One of `names`; its place in the list.
  size_t Choice(const std::string& key, const std::vector<std::string>& names);

  [[noreturn]] void Fail(const std::string& key, const std::string& message) const;
  void Done() const;

  const std::string& path() const { return path_; }

 private:
  template <typename T>
  T As(const std::string& key, const char* expected);

  YAML::Node node_;
  std::string path_;
  std::string what_;
  std::set<std::string> taken_;
};

// The one document of `yaml`, which must be a mapping. Throws Error (kBadInput).
YamlMap ParseYaml(const std::string& yaml, const std::string& path, const std::string& what);

// "path:line:column: message"; without the place where `mark` has none.
[[noreturn]] void FailAt(const std::string& path, const YAML::Mark& mark,
                         const std::string& message);

}  // namespace ppx::base
