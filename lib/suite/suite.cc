#include "suite/suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"
#include "base/strict_yaml.h"

namespace ppx::suite {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSuiteBytes = size_t{1} << 20;
constexpr int64_t kMostSamples = 1'000'000;
constexpr int64_t kMostChannels = 64;

// Names in a suite stay below its root.
std::string Relative(base::YamlMap& map, const std::string& key, const std::string& fallback) {
  const std::string name = map.Text(key, fallback);
  const fs::path path(name);
  const bool climbs =
      std::any_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
  if (path.is_absolute() || climbs) map.Fail(key, "must name a place inside the suite's root");
  return name;
}

SampleFiles ReadFiles(base::YamlMap map) {
  SampleFiles files;
  files.user = Relative(map, "user", "");
  files.user_channel = static_cast<int>(map.Whole("user_channel", 0, kMostChannels, 0));
  files.agent = Relative(map, "agent", "");
  files.agent_channel = static_cast<int>(map.Whole("agent_channel", 0, kMostChannels, 0));
  files.words = map.Texts("words");
  files.marks = Relative(map, "marks", "");
  files.clean_user = Relative(map, "clean_user", "");
  files.clean_agent = Relative(map, "clean_agent", "");
  files.clean_words = Relative(map, "clean_words", "");
  files.verdict = Relative(map, "verdict", "");
  files.tokens = Relative(map, "tokens", "");
  if (files.agent.empty()) map.Fail("agent", "is missing: the file that is scored");
  map.Done();
  return files;
}

std::vector<MetricChoice> ReadMetrics(base::YamlMap map) {
  std::vector<MetricChoice> metrics;
  for (const std::string& name : map.Keys()) {
    constexpr std::array kBetter{Better::kNone, Better::kHigher, Better::kLower};
    metrics.push_back({name, kBetter[map.Choice(name, {"none", "higher", "lower"})]});
  }
  if (metrics.empty()) base::ThrowBadInput(map.path() + ": a task without metrics");
  return metrics;
}

Task ReadTask(const std::string& name, base::YamlMap map) {
  Task task;
  task.name = name;
  task.kind = static_cast<TaskKind>(map.Choice("kind", TaskKindNames()));
  task.folder = Relative(map, "folder", name);
  task.dataset = map.Text("dataset", "");
  if (map.Has("samples")) task.expected_samples = map.Whole("samples", 1, kMostSamples);
  task.prompt = map.Text("prompt", "");
  task.ground_truth = Relative(map, "ground_truth", "");
  task.judge = map.Text("judge", "");
  task.files = ReadFiles(map.Map("files", "the files of a sample"));
  task.metrics = ReadMetrics(map.Map("metrics", "the metrics of a task"));
  map.Done();
  return task;
}

}  // namespace

const std::vector<std::string>& TaskKindNames() {
  static const std::vector<std::string> names{"pause_handling", "turn_taking", "backchannel",
                                              "interruption",   "overlap",     "service_question",
                                              "channels"};
  return names;
}

const MetricChoice* Task::Find(const std::string& metric) const {
  const auto found = std::find_if(metrics.begin(), metrics.end(), [&](const MetricChoice& choice) {
    return choice.name == metric;
  });
  return found == metrics.end() ? nullptr : &*found;
}

Suite LoadSuite(const std::string& path) {
  const std::string bytes = base::ReadSmallFile(path, kMaxSuiteBytes, "a suite file (YAML)");
  base::YamlMap map = base::ParseYaml(bytes, path, "a suite");
  Suite suite;
  suite.path = path;
  suite.sha256 = base::Sha256Hex(std::as_bytes(std::span(bytes)));
  suite.id = map.Text("id");
  suite.name = map.Text("name", suite.id);
  suite.version = map.Whole("version", 1, kMostSamples);
  suite.source = map.Text("source", "");
  suite.layout = static_cast<Layout>(map.Choice("layout", {"task_folders", "sample_folders"}));
  if (map.Has("references")) {
    suite.references = (fs::path(path).parent_path() / map.Text("references")).string();
  }
  base::YamlMap tasks = map.Map("tasks", "the tasks of a suite");
  for (const std::string& name : tasks.Keys()) {
    suite.tasks.push_back(ReadTask(name, tasks.Map(name, fmt::format("task '{}'", name))));
  }
  if (suite.tasks.empty()) map.Fail("tasks", "is empty");
  if (suite.layout == Layout::kSampleFolders && suite.tasks.size() != 1) {
    map.Fail("tasks", "holds several tasks, but sample folders cannot tell them apart");
  }
  map.Done();
  return suite;
}

}  // namespace ppx::suite
