#include "common/yaml_config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>
#include <CLI/CLI.hpp>

#include "base/error.h"

namespace ppx::app {
namespace {

[[noreturn]] void Reject(const YAML::Mark& mark, const std::string& problem) {
  base::ThrowUsage(fmt::format("line {}, column {}: {}", mark.line + 1, mark.column + 1, problem));
}

}  // namespace

std::string YamlConfig::to_config(const CLI::App* app, bool default_also,
                                  bool /*write_description*/, std::string /*prefix*/) const {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const CLI::Option* option : app->get_options({})) {
    if (option->get_lnames().empty() || !option->get_configurable()) continue;
    if (option->count() > 0) {
      out << YAML::Key << option->get_lnames()[0] << YAML::Value << option->as<std::string>();
    } else if (default_also && !option->get_default_str().empty()) {
      out << YAML::Key << option->get_lnames()[0] << YAML::Value << option->get_default_str();
    }
  }
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::vector<CLI::ConfigItem> YamlConfig::from_config(std::istream& input) const {
  YAML::Node root;
  try {
    root = YAML::Load(input);
  } catch (const YAML::Exception& error) {
    Reject(error.mark, error.msg);
  }
  if (root.IsMap() && root["options"] && root["options"].IsMap()) root = root["options"];
  if (root.IsNull()) return {};
  if (!root.IsMap()) Reject(root.Mark(), "expected a mapping of option names to values");
  std::vector<CLI::ConfigItem> entries;
  for (const auto& entry : root) {
    CLI::ConfigItem item;
    item.name = entry.first.Scalar();
    if (entry.second.IsScalar()) {
      item.inputs = {entry.second.Scalar()};
    } else if (entry.second.IsSequence()) {
      for (const auto& value : entry.second) {
        if (!value.IsScalar()) Reject(value.Mark(), item.name + ": expected plain values");
        item.inputs.push_back(value.Scalar());
      }
    } else if (entry.second.IsNull()) {
      continue;
    } else {
      Reject(entry.second.Mark(), item.name + ": expected a value or a list of values");
    }
    entries.push_back(std::move(item));
  }
  return entries;
}

}  // namespace ppx::app
