#include "suite/references.h"

#include "base/small_file.h"
#include "base/strict_yaml.h"

namespace ppx::suite {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;

}  // namespace

std::vector<ReferenceValue> LoadReferences(const std::string& path) {
  base::YamlMap map =
      base::ParseYaml(base::ReadSmallFile(path, kMaxBytes, "a file of published numbers (YAML)"),
                      path, "published numbers");
  std::vector<ReferenceValue> references;
  for (const YAML::Node& node : map.List("rows")) {
    base::YamlMap row(node, path, "a row of published numbers");
    const std::string system = row.Text("system");
    const std::string source = row.Text("source");
    base::YamlMap tasks = row.Map("values", "the values of a row");
    for (const std::string& task : tasks.Keys()) {
      base::YamlMap values = tasks.Map(task, "the values of a task");
      for (const std::string& metric : values.Keys()) {
        references.push_back({system, source, task, metric, values.Number(metric)});
      }
    }
    row.Done();
  }
  map.Done();
  return references;
}

}  // namespace ppx::suite
