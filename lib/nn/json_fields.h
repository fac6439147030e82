// lib/nn/json_fields.h: fields of a checkpoint's config.json, with defaults and checked types.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ppx::nn {

// One JSON object. A field that is absent or null gives the default; a field of another type or
// outside its range throws base::Error (kBadInput) that names the file and the field.
class JsonFields {
 public:
  // `where`: the file's name, for messages.
  JsonFields(const nlohmann::json& object, std::string where);

  // Reads a whole file. Throws kBadInput where it cannot be read or is not one JSON object.
  static nlohmann::json ReadFile(const std::string& path);

  // In [lowest, highest].
  int Int(const char* name, int fallback, int lowest = 0, int highest = 1 << 24) const;
  double Real(const char* name, double fallback) const;
  bool Bool(const char* name, bool fallback) const;
  std::string Text(const char* name, const std::string& fallback) const;
  std::vector<int> Ints(const char* name, const std::vector<int>& fallback) const;
  // The object of that name; an empty one where it is absent.
  JsonFields Object(const char* name) const;

  [[noreturn]] void Reject(const std::string& name, const std::string& problem) const;

 private:
  const nlohmann::json* Find(const char* name) const;

  nlohmann::json object_;
  std::string where_;
};

}  // namespace ppx::nn
