// scripts/jobs: what the schedulers and ppx-batch must agree on.
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "support/doctest.h"

namespace ppx {
namespace {

const std::string kJobs = PPX_SOURCE_DIR "/scripts/jobs/";

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  REQUIRE(file);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_CASE("the Kubernetes job has as many parts as it tells its pods") {
  const YAML::Node job = YAML::LoadFile(kJobs + "kubernetes.yaml");
  CHECK(job["apiVersion"].as<std::string>() == "batch/v1");
  CHECK(job["kind"].as<std::string>() == "Job");
  const YAML::Node spec = job["spec"];
  CHECK(spec["completionMode"].as<std::string>() == "Indexed");
  const int completions = spec["completions"].as<int>();
  CHECK(spec["parallelism"].as<int>() <= completions);
  CHECK(spec["backoffLimitPerIndex"].as<int>() > 0);

  const YAML::Node pod = spec["template"]["spec"];
  CHECK(pod["restartPolicy"].as<std::string>() == "Never");  // the limit for each index needs it
  CHECK(pod["terminationGracePeriodSeconds"].as<int>() >= 30);
  REQUIRE(pod["containers"].size() == 1);
  const YAML::Node container = pod["containers"][0];
  std::string count;
  for (const YAML::Node& variable : container["env"]) {
    if (variable["name"].as<std::string>() == "PPX_SHARD_COUNT") {
      count = variable["value"].as<std::string>();
      CHECK(variable["value"].Tag() == "!");  // quoted: Kubernetes takes no number there
    }
  }
  CHECK(count == std::to_string(completions));
  CHECK(container["resources"]["limits"]["nvidia.com/gpu"].as<int>() == 1);

  std::set<std::string> volumes;
  for (const YAML::Node& volume : pod["volumes"]) volumes.insert(volume["name"].as<std::string>());
  for (const YAML::Node& mount : container["volumeMounts"]) {
    CHECK(volumes.contains(mount["name"].as<std::string>()));
  }

  std::set<int> final_codes;
  for (const YAML::Node& rule : spec["podFailurePolicy"]["rules"]) {
    const YAML::Node codes = rule["onExitCodes"];
    if (!codes) continue;
    CHECK(rule["action"].as<std::string>() == "FailIndex");
    CHECK(codes["containerName"].as<std::string>() == container["name"].as<std::string>());
    for (const YAML::Node& code : codes["values"]) final_codes.insert(code.as<int>());
  }
  CHECK(final_codes == std::set<int>{1, 2, 3});
}

TEST_CASE("the AWS Batch definition in the README is JSON and retries what may pass") {
  const std::string readme = ReadText(kJobs + "README.md");
  const std::string fence = "```json\n";
  const size_t begin = readme.find(fence);
  REQUIRE(begin != std::string::npos);
  const size_t end = readme.find("```", begin + fence.size());
  const auto job =
      nlohmann::json::parse(readme.substr(begin + fence.size(), end - begin - fence.size()));
  const auto& retry = job.at("retryStrategy");
  CHECK(retry.at("attempts").get<int>() >= 1);
  CHECK(retry.at("attempts").get<int>() <= 10);
  CHECK(retry.at("evaluateOnExit").size() <= 5);
  std::set<std::string> final_codes;
  for (const auto& rule : retry.at("evaluateOnExit")) {
    CHECK(rule.at("action") == "EXIT");
    final_codes.insert(rule.at("onExitCode").get<std::string>());
  }
  CHECK(final_codes == std::set<std::string>{"1", "2", "3"});
  const auto& container = job.at("containerProperties");
  CHECK(container.at("volumes")[0].at("name") == container.at("mountPoints")[0].at("sourceVolume"));
}

TEST_CASE("the Slurm job is an array that is warned before its time is up") {
  std::istringstream lines(ReadText(kJobs + "slurm.sbatch"));
  std::set<std::string> options;
  bool commands_began = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#SBATCH ")) {
      CHECK(!commands_began);  // Slurm reads no options below the first command
      options.insert(line.substr(8));
    } else if (!line.empty() && !line.starts_with('#')) {
      commands_began = true;
    }
  }
  CHECK(options.contains("--array=1-8"));
  CHECK(options.contains("--requeue"));
  CHECK(options.contains("--open-mode=append"));
  CHECK(options.contains("--signal=B:USR1@120"));
}

}  // namespace
}  // namespace ppx
