#include "nn/json_fields.h"

#include <fmt/format.h>

#include <fstream>
#include <utility>

#include "base/error.h"

namespace ppx::nn {

JsonFields::JsonFields(const nlohmann::json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (!object_.is_object()) base::ThrowBadInput(where_ + ": expected a JSON object");
}

nlohmann::json JsonFields::ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) base::ThrowBadInput(path + ": cannot be opened");
  nlohmann::json parsed = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) base::ThrowBadInput(path + ": is not valid JSON");
  if (!parsed.is_object()) base::ThrowBadInput(path + ": expected a JSON object");
  return parsed;
}

void JsonFields::Reject(const std::string& name, const std::string& problem) const {
  base::ThrowBadInput(fmt::format("{}: field '{}' {}", where_, name, problem));
}

const nlohmann::json* JsonFields::Find(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

int JsonFields::Int(const char* name, int fallback, int lowest, int highest) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  const bool whole =
      value->is_number_integer() ||
      (value->is_number_float() &&
       value->get<double>() == static_cast<double>(static_cast<int64_t>(value->get<double>())));
  if (!whole) Reject(name, "is not an integer");
  const double number = value->get<double>();
  if (number < lowest || number > highest) {
    Reject(name, fmt::format("is {}, expected {} to {}", number, lowest, highest));
  }
  return static_cast<int>(number);
}

double JsonFields::Real(const char* name, double fallback) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (!value->is_number()) Reject(name, "is not a number");
  return value->get<double>();
}

bool JsonFields::Bool(const char* name, bool fallback) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) Reject(name, "is not true or false");
  return value->get<bool>();
}

std::string JsonFields::Text(const char* name, const std::string& fallback) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (!value->is_string()) Reject(name, "is not a string");
  return value->get<std::string>();
}

std::vector<int> JsonFields::Ints(const char* name, const std::vector<int>& fallback) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (!value->is_array()) Reject(name, "is not a list of integers");
  std::vector<int> numbers;
  for (const auto& item : *value) {
    if (!item.is_number_integer() || item.get<double>() < -1 || item.get<double>() > 1 << 24) {
      Reject(name, "is not a list of small integers");
    }
    numbers.push_back(item.get<int>());
  }
  return numbers;
}

JsonFields JsonFields::Object(const char* name) const {
  const nlohmann::json* value = Find(name);
  return {value == nullptr ? nlohmann::json::object() : *value, where_ + ": " + name};
}

}  // namespace ppx::nn
