#include "batch/plan_file.h"

#include <fmt/format.h>

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
using nlohmann::ordered_json;

constexpr size_t kMaxPlanBytes = size_t{4} << 30;

PlannedDialogue ParseDialogue(std::string_view line) {
  const json object = json::parse(line);
  PlannedDialogue dialogue;
  dialogue.id = object.at("id").get<std::string>();
  dialogue.key = object.at("key").get<std::string>();
  dialogue.frames = object.at("frames").get<int64_t>();
  const auto slots = object.at("slots").get<int64_t>();
  if (dialogue.id.empty() || dialogue.frames < 0 || slots < 1 ||
      slots > std::numeric_limits<int>::max()) {
    base::ThrowBadInput("a value is out of range");
  }
  dialogue.slots = static_cast<int>(slots);
  dialogue.outputs = object.at("outputs").get<std::vector<std::string>>();
  return dialogue;
}

}  // namespace

void CheckPlan(const Plan& plan) {
  std::set<std::string> ids;
  std::map<std::string, const PlannedDialogue*> files;
  for (const PlannedDialogue& dialogue : plan) {
    if (!ids.insert(dialogue.id).second) {
      base::ThrowBadInput(fmt::format("two dialogues have the id {}; rename one", dialogue.id));
    }
    for (const std::string& output : dialogue.outputs) {
      const std::string path = fs::path(output).lexically_normal().string();
      const auto [place, fresh] = files.emplace(path, &dialogue);
      if (!fresh) {
        base::ThrowBadInput(fmt::format("dialogues {} and {} both write {}; rename one",
                                        place->second->id, dialogue.id, output));
      }
    }
  }
  for (const auto& [path, dialogue] : files) {
    for (fs::path folder = fs::path(path).parent_path(); folder.has_relative_path();
         folder = folder.parent_path()) {
      const auto taken = files.find(folder.string());
      if (taken != files.end()) {
        base::ThrowBadInput(
            fmt::format("dialogue {} writes the file {}, which is a folder of {}; "
                        "rename one",
                        taken->second->id, taken->first, dialogue->id));
      }
    }
  }
}

std::string PlanText(const Plan& plan) {
  std::string text;
  for (const PlannedDialogue& dialogue : plan) {
    const ordered_json line = {{"id", dialogue.id},
                               {"key", dialogue.key},
                               {"frames", dialogue.frames},
                               {"slots", dialogue.slots},
                               {"outputs", dialogue.outputs}};
    text += line.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    text += '\n';
  }
  return text;
}

Plan ParsePlan(std::string_view text, const std::string& path) {
  Plan plan;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    try {
      if (end == std::string_view::npos) base::ThrowBadInput("ends in the middle of a line");
      plan.push_back(ParseDialogue(text.substr(0, end)));
    } catch (const json::exception& error) {
      base::ThrowBadInput(fmt::format(
          "{}:{}: {}; expected a line of a plan; run the batch again, which writes it anew", path,
          number, error.what()));
    } catch (const base::Error& error) {
      base::ThrowBadInput(fmt::format("{}:{}: {}; run the batch again, which writes the plan anew",
                                      path, number, error.what()));
    }
    text.remove_prefix(end + 1);
  }
  return plan;
}

Plan ReadPlan(const std::string& state_folder) {
  const std::string path = (fs::path(state_folder) / kPlanName).string();
  if (!fs::exists(path)) {
    base::ThrowBadInput(path + ": not there; is this the output folder of a batch?");
  }
  if (fs::is_regular_file(path) && fs::file_size(path) == 0) return {};
  return ParsePlan(base::ReadSmallFile(path, kMaxPlanBytes, "a plan (JSON lines)"), path);
}

}  // namespace ppx::batch
