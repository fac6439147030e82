#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/small_file.h"
#include "base/strict_yaml.h"
#include "script/dialogue_script.h"
#include "script/script_flow.h"
#include "script/words.h"

namespace ppx::script {
namespace {

namespace fs = std::filesystem;
using base::YamlMap;

constexpr size_t kMaxScriptBytes = size_t{1} << 20;
constexpr double kMostSeconds = 24 * 3600.0;
// Loops take steps of at least this, so that a script cannot fill the memory with events.
constexpr double kLeastSeconds = 0.01;
constexpr int64_t kMostChannel = 63;
constexpr const char* kStart = "start";

// What `after` and `goto` can name.
using Places = std::map<std::string, size_t>;

std::vector<std::string> NamesOf(const Places& places) {
  std::vector<std::string> names;
  for (const auto& [name, place] : places) names.push_back(name);
  return names;
}

class Parser {
 public:
  Parser(const std::string& yaml, const std::string& path)
      : path_(path), root_(base::ParseYaml(yaml, path, "a dialogue script")) {}

  DialogueScript Parse() {
    script_.path = path_;
    script_.name = root_.Text("name", fs::path(path_).stem().string());
    script_.description = root_.Text("description", "");
    if (root_.Has("task")) {
      constexpr std::array kTasks{ScriptTask::kPauseHandling, ScriptTask::kTurnTaking,
                                  ScriptTask::kBackchannel, ScriptTask::kInterruption,
                                  ScriptTask::kChannels};
      std::vector<std::string> names;
      for (const ScriptTask task : kTasks) names.emplace_back(Name(task));
      script_.task = kTasks[root_.Choice("task", names)];
    }
    script_.duration_s = Seconds(root_, "duration_s", script_.duration_s, 0.1);
    script_.tail_s = Seconds(root_, "tail_s", script_.tail_s, 0);
    if (root_.Has("hearing")) ReadHearing(root_.Map("hearing", "how the agent is heard"));
    if (root_.Has("clips")) ReadClips(root_.Map("clips", "the clips of a script"));
    if (root_.Has("noise")) ReadNoise(root_.Map("noise", "the noise of a script"));
    for (const YAML::Node& node : root_.List("background")) ReadBackground(node);
    ReadAgentsAndSteps();
    root_.Done();
    Check();
    return std::move(script_);
  }

 private:
  [[noreturn]] void Fail(const YAML::Node& node, const std::string& message) const {
    base::FailAt(path_, node.Mark(), message);
  }

  std::string Where(const YAML::Node& node) const {
    const YAML::Mark mark = node.Mark();
    return fmt::format("{}:{}:{}", path_, mark.line + 1, mark.column + 1);
  }

  static double Within(const YamlMap& map, const std::string& key, double value, double low,
                       double high) {
    if (value >= low && value <= high) return value;
    map.Fail(key, fmt::format("is {}; expected {} to {}", value, low, high));
  }

  static double Seconds(YamlMap& map, const std::string& key, double low) {
    return Within(map, key, map.Number(key), low, kMostSeconds);
  }

  static double Seconds(YamlMap& map, const std::string& key, double fallback, double low) {
    return map.Has(key) ? Seconds(map, key, low) : fallback;
  }

  // A time that is 0 or long enough to be noticed.
  static double Delay(YamlMap& map, const std::string& key) {
    const double seconds = Seconds(map, key, 0);
    return seconds > 0 ? Within(map, key, seconds, kLeastSeconds, kMostSeconds) : 0;
  }

  // Must lie before the dialogue's end.
  double AtSeconds(YamlMap& map) const {
    const double at_s = Seconds(map, "at_s", 0);
    if (at_s < script_.duration_s) return at_s;
    map.Fail("at_s", fmt::format("is {}, but the dialogue ends after {} s (duration_s)", at_s,
                                 script_.duration_s));
  }

  // `value` is the scalar that names it.
  size_t Find(const Places& places, const YAML::Node& value, const std::string& what,
              const std::string& none) const {
    if (!value.IsScalar()) Fail(value, fmt::format("expected the name of {}", what));
    const auto found = places.find(value.Scalar());
    if (found != places.end()) return found->second;
    const std::string nearest = Nearest(value.Scalar(), NamesOf(places));
    Fail(value, nearest.empty() ? fmt::format("there is no {} '{}'; {}", what, value.Scalar(), none)
                                : fmt::format("there is no {} '{}'; did you mean '{}'?", what,
                                              value.Scalar(), nearest));
  }

  size_t FindClip(const YAML::Node& value) const {
    return Find(clip_places_, value, "clip", "name one under 'clips'");
  }

  size_t FindTarget(const YAML::Node& value) {
    const size_t step = Find(targets_, value, "branch or step", "give a step an id");
    aimed_at_.insert(value.Scalar());
    return step;
  }

  // A name that others refer to.
  void CheckName(const YAML::Node& node, const std::string& name) const {
    constexpr std::string_view kAllowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    if (name.empty() || name.find_first_not_of(kAllowed) != std::string::npos) {
      Fail(node, fmt::format("'{}' is no name; use letters, digits, '_' and '-'", name));
    }
    if (name == kStart) Fail(node, "'start' is the start of the dialogue; choose another name");
  }

  std::string FileOf(YamlMap& map) const {
    const std::string name = map.Text("file");
    const fs::path path = fs::path(path_).parent_path() / name;
    std::error_code ignored;
    if (!fs::is_regular_file(path, ignored)) {
      map.Fail("file", fmt::format("is '{}', but there is no file {}; paths are relative to the "
                                   "script's folder",
                                   name, path.lexically_normal().string()));
    }
    return path.lexically_normal().string();
  }

  void ReadHearing(YamlMap map) {
    HearingSpec& hearing = script_.hearing;
    hearing.min_speech_s = Seconds(map, "min_speech_s", hearing.min_speech_s, kLeastSeconds);
    hearing.min_silence_s = Seconds(map, "min_silence_s", hearing.min_silence_s, kLeastSeconds);
    hearing.threshold_db = map.MaybeNumber("threshold_db");
    if (hearing.threshold_db) Within(map, "threshold_db", *hearing.threshold_db, -90, 0);
    map.Done();
  }

  void ReadClips(const YamlMap& names) {
    YamlMap clips = names;
    for (const std::string& name : clips.Keys()) {
      const YAML::Node node = clips.Take(name);
      CheckName(node, name);
      clip_places_[name] = script_.clips.size();
      script_.clips.push_back(ReadClip(name, node));
    }
  }

  Clip ReadClip(const std::string& name, const YAML::Node& node) const {
    YamlMap map(node, path_, fmt::format("clip '{}'", name));
    Clip clip;
    clip.name = name;
    clip.where = Where(node);
    if (map.Has("file") == map.Has("say")) {
      Fail(node, fmt::format("clip '{}' needs either a 'file' or a text to 'say'", name));
    }
    if (map.Has("file")) {
      clip.file = FileOf(map);
      clip.channel = static_cast<int>(map.Whole("channel", 0, kMostChannel, 0));
      clip.from_s = Seconds(map, "from_s", 0.0, 0);
      if (map.Has("to_s")) {
        clip.to_s = Seconds(map, "to_s", 0);
        if (*clip.to_s <= clip.from_s) map.Fail("to_s", "must be after 'from_s'");
      }
      clip.text = map.Text("text", "");
      clip.trim = map.Flag("trim", false);
    } else {
      clip.say = map.Text("say");
      if (NormalWords(clip.say).empty()) map.Fail("say", "has no words");
      if (map.Has("voice")) clip.options["voice"] = map.Text("voice");
      if (map.Has("options")) ReadVoiceOptions(map.Map("options", "options of a voice"), clip);
      clip.text = clip.say;
      clip.trim = map.Flag("trim", true);
    }
    if (map.Has("loudness_lufs")) {
      clip.loudness_lufs = Within(map, "loudness_lufs", map.Number("loudness_lufs"), -70, 0);
    }
    if (map.Has("gain_db")) clip.gain_db = Within(map, "gain_db", map.Number("gain_db"), -100, 60);
    clip.fade_in_s = Seconds(map, "fade_in_s", 0.0, 0);
    clip.fade_out_s = Seconds(map, "fade_out_s", 0.0, 0);
    map.Done();
    return clip;
  }

  void ReadVoiceOptions(YamlMap map, Clip& clip) const {
    for (const std::string& name : map.Keys()) {
      if (name == "text" || name == "wav" || name == "voice") {
        map.Fail(name, "is a place of its own in the synthesiser's command; choose another name");
      }
      clip.options[name] = map.Text(name);
    }
  }

  void ReadNoise(YamlMap map) {
    constexpr std::array kKinds{NoiseKind::kWhite, NoiseKind::kPink, NoiseKind::kFile};
    NoiseSpec noise;
    noise.where = Where(root_.Take("noise"));
    noise.kind = kKinds[map.Choice("kind", {"white", "pink", "file"})];
    if (noise.kind == NoiseKind::kFile) {
      noise.file = FileOf(map);
      noise.channel = static_cast<int>(map.Whole("channel", 0, kMostChannel, 0));
    }
    noise.snr_db = map.MaybeNumber("snr_db");
    noise.level_db = map.MaybeNumber("level_db");
    if (noise.snr_db.has_value() == noise.level_db.has_value()) {
      map.Fail("kind",
               "needs either 'snr_db' (below the clips' speech) or 'level_db' (RMS re full "
               "scale)");
    }
    if (noise.snr_db) Within(map, "snr_db", *noise.snr_db, -40, 100);
    if (noise.level_db) Within(map, "level_db", *noise.level_db, -120, 0);
    map.Done();
    script_.noise = std::move(noise);
  }

  void ReadBackground(const YAML::Node& node) {
    YamlMap map(node, path_, "a clip in the background");
    const size_t clip = FindClip(map.Take("play"));
    const double at_s = AtSeconds(map);
    map.Done();
    script_.background.push_back({clip, at_s});
  }

  // What of an agent is said beside its steps.
  static AgentSpec ReadAgent(YamlMap& map) {
    AgentSpec agent;
    if (map.Has("persona")) agent.persona = map.Text("persona");
    if (map.Has("text_prompt")) agent.text_prompt = map.Text("text_prompt");
    if (map.Has("voice_prompt")) agent.voice_prompt = map.Text("voice_prompt");
    if (map.Has("seed")) agent.seed = map.Whole("seed", 0, std::numeric_limits<int64_t>::max());
    return agent;
  }

  struct StepList {
    std::string name;  // "steps", the branch's, "agent_a"
    std::vector<YAML::Node> nodes;
    size_t first = 0;
  };

  // Gives its steps their places, before any of them is read.
  size_t AddList(YamlMap& map, const std::string& key, const std::string& name) {
    StepList list{name, map.List(key), steps_placed_};
    if (list.nodes.empty()) map.Fail(key, "must be a list of steps, with at least one");
    for (const YAML::Node& node : list.nodes) {
      const size_t place = steps_placed_++;
      if (!node.IsMap() || !node["id"].IsDefined()) continue;
      const YAML::Node id = node["id"];
      if (!id.IsScalar()) Fail(id, "'id' must be a text");
      CheckName(id, id.Scalar());
      if (!ids_.emplace(id.Scalar(), place).second ||
          !targets_.emplace(id.Scalar(), place).second) {
        Fail(id, fmt::format("'{}' is the name of another step or branch; choose a new one",
                             id.Scalar()));
      }
    }
    lists_.push_back(std::move(list));
    return lists_.back().first;
  }

  void ReadAgentsAndSteps() {
    const bool dyad = root_.Has("agent_a") || root_.Has("agent_b");
    if (dyad) {
      YamlMap a = root_.Map("agent_a", "agent_a");
      YamlMap b = root_.Map("agent_b", "agent_b");
      script_.agent = ReadAgent(a);
      script_.agent_b = ReadAgent(b);
      script_.agent.first_step = AddList(a, "steps", "agent_a");
      if (b.Has("steps")) script_.agent_b->first_step = AddList(b, "steps", "agent_b");
      a.Done();
      b.Done();
    } else {
      script_.agent = ReadAgent(root_);
      script_.agent.first_step = AddList(root_, "steps", "steps");
    }
    std::vector<std::pair<std::string, YAML::Node>> branches;
    if (root_.Has("branches")) {
      YamlMap map = root_.Map("branches", "the branches of a script");
      for (const std::string& name : map.Keys()) {
        const YAML::Node node = map.Take(name);
        CheckName(node, name);
        const size_t first = AddList(map, name, name);
        if (!targets_.emplace(name, first).second) {
          Fail(node, fmt::format("'{}' is the name of a step, too; choose another", name));
        }
        branches.emplace_back(name, node);
      }
    }
    for (const StepList& list : lists_) ReadList(list);
    for (const auto& [name, node] : branches) {
      if (!aimed_at_.contains(name)) {
        Fail(node,
             fmt::format("nothing leads to branch '{}'; remove it, or name it in a 'goto'", name));
      }
    }
  }

  void ReadList(const StepList& list) {
    for (size_t i = 0; i < list.nodes.size(); ++i) {
      Step step = ReadStep(list.nodes[i]);
      if (step.id.empty()) step.id = fmt::format("{}.{}", list.name, i + 1);
      if (i + 1 < list.nodes.size()) step.next = list.first + i + 1;
      script_.steps.push_back(std::move(step));
    }
  }

  Step ReadStep(const YAML::Node& node) {
    YamlMap map(node, path_, "a step");
    Step step;
    step.where = Where(node);
    step.id = map.Text("id", "");
    constexpr std::array<const char*, 5> kKinds{"play", "wait", "branch", "goto", "end"};
    const auto given = std::count_if(kKinds.begin(), kKinds.end(),
                                     [&](const char* kind) { return map.Has(kind); });
    if (given != 1) {
      Fail(node, fmt::format("expected a step with one of {}{}", fmt::join(kKinds, ", "),
                             given > 1 ? ", not with several" : ""));
    }
    if (map.Has("play")) {
      ReadPlay(map, step);
    } else if (map.Has("wait")) {
      step.kind = StepKind::kWait;
      step.conditions = ReadWait(map.Take("wait"));
    } else if (map.Has("branch")) {
      step.kind = StepKind::kBranch;
      for (const YAML::Node& option : map.List("branch")) {
        step.conditions.push_back(ReadBranchOption(option));
      }
      if (step.conditions.empty()) map.Fail("branch", "needs at least one condition with a 'goto'");
    } else if (map.Has("goto")) {
      step.kind = StepKind::kGoto;
      step.label = map.Text("goto");
      step.goto_step = FindTarget(map.Take("goto"));
    } else {
      step.kind = StepKind::kEnd;
      const std::string reason = map.Text("end");
      if (reason == "false") map.Fail("end", "must be true, or a text that says why");
      if (reason != "true") step.end_reason = reason;
    }
    if (!step.conditions.empty()) ReadTimeout(map, step);
    map.Done();
    return step;
  }

  void ReadPlay(YamlMap& map, Step& step) {
    step.kind = StepKind::kPlay;
    step.clip = FindClip(map.Take("play"));
    if (map.Has("when")) step.conditions = ReadConditions(map.Take("when"));
    step.overlap = map.Flag("overlap", false);
    step.mark = map.Flag("mark", false);
    const bool marks = script_.task == ScriptTask::kPauseHandling ||
                       script_.task == ScriptTask::kTurnTaking ||
                       script_.task == ScriptTask::kInterruption;
    if (step.mark && !marks) {
      map.Fail("mark",
               "is for the tasks pause_handling, turn_taking and interruption, whose event "
               "it says; remove it or name the task");
    }
    if (step.conditions.empty() && (map.Has("within_s") || map.Has("on_timeout"))) {
      map.Fail("within_s", "is how long 'when' is waited for, which is missing");
    }
  }

  std::vector<Condition> ReadWait(const YAML::Node& value) {
    if (!value.IsScalar()) return ReadConditions(value);
    // A number of seconds, read as if it were a key's, for the same messages.
    YAML::Node pair;
    pair["wait"] = value;
    YamlMap map(pair, path_, "a step");
    Condition condition;
    condition.seconds = Delay(map, "wait");
    return {condition};
  }

  std::vector<Condition> ReadConditions(const YAML::Node& node) {
    YamlMap map(node, path_, "a condition");
    if (!map.Has("any_of")) {
      Condition condition = ReadCondition(node, map);
      map.Done();
      return {std::move(condition)};
    }
    std::vector<Condition> conditions;
    for (const YAML::Node& item : map.List("any_of")) {
      YamlMap one(item, path_, "a condition of any_of");
      conditions.push_back(ReadCondition(item, one));
      one.Done();
    }
    if (conditions.empty()) map.Fail("any_of", "needs at least one condition");
    map.Done();
    return conditions;
  }

  Condition ReadBranchOption(const YAML::Node& node) {
    YamlMap map(node, path_, "a condition of a branch");
    Condition condition = ReadCondition(node, map);
    condition.label = map.Text("goto");
    condition.goto_step = FindTarget(map.Take("goto"));
    map.Done();
    return condition;
  }

  Condition ReadCondition(const YAML::Node& node, YamlMap& map) {
    constexpr std::array kKinds{ConditionKind::kAt,          ConditionKind::kAfter,
                                ConditionKind::kDelay,       ConditionKind::kAgentStarts,
                                ConditionKind::kAgentSpoken, ConditionKind::kAgentStops,
                                ConditionKind::kAgentSilent, ConditionKind::kAgentSays};
    std::vector<ConditionKind> given;
    std::vector<std::string_view> names;
    for (const ConditionKind kind : kKinds) {
      names.push_back(Name(kind));
      if (map.Has(std::string(Name(kind)))) given.push_back(kind);
    }
    // `delay_s` goes with `after`.
    if (given.size() == 2 && given[0] == ConditionKind::kAfter &&
        given[1] == ConditionKind::kDelay) {
      given.pop_back();
    }
    if (given.size() != 1) {
      Fail(node,
           fmt::format("expected one condition, {}; {}", fmt::join(names, ", "),
                       given.empty() ? "there is none" : "several go into a list under 'any_of'"));
    }
    Condition condition;
    condition.kind = given.front();
    const std::string key(Name(condition.kind));
    switch (condition.kind) {
      case ConditionKind::kAt:
        condition.seconds = AtSeconds(map);
        break;
      case ConditionKind::kAfter:
        if (map.Text(key) != kStart) {
          condition.after = Find(ids_, map.Take(key), "step", "give it an id, or say 'start'");
        }
        if (map.Has("delay_s")) condition.seconds = Delay(map, "delay_s");
        break;
      case ConditionKind::kDelay:
        condition.seconds = Delay(map, key);
        break;
      case ConditionKind::kAgentStarts:
      case ConditionKind::kAgentStops:
        if (!map.Flag(key, true)) map.Fail(key, "can only be true");
        break;
      case ConditionKind::kAgentSpoken:
      case ConditionKind::kAgentSilent:
        condition.seconds = Seconds(map, key, kLeastSeconds);
        break;
      case ConditionKind::kAgentSays:
        for (const std::string& text : map.Texts(key)) {
          condition.phrases.push_back(NormalWords(text));
          if (condition.phrases.back().empty()) {
            map.Fail(key, fmt::format("has '{}', which is no word", text));
          }
        }
        if (condition.phrases.empty()) map.Fail(key, "needs at least one word");
        break;
    }
    return condition;
  }

  void ReadTimeout(YamlMap& map, Step& step) {
    if (map.Has("within_s")) step.within_s = Seconds(map, "within_s", kLeastSeconds);
    if (!map.Has("on_timeout")) return;
    if (!step.within_s) {
      map.Fail("on_timeout", "needs 'within_s': how long is waited before it happens");
    }
    const YAML::Node node = map.Take("on_timeout");
    if (node.IsMap()) {
      YamlMap action = map.Map("on_timeout", "what happens on a time-out");
      if (action.Has("play") == action.Has("goto")) {
        Fail(node, "expected 'on_timeout: {play: CLIP}' or 'on_timeout: {goto: NAME}'");
      }
      if (action.Has("play")) {
        step.on_timeout = TimeoutAction::kPlay;
        step.timeout_clip = FindClip(action.Take("play"));
      } else {
        step.on_timeout = TimeoutAction::kGoto;
        step.timeout_label = action.Text("goto");
        step.timeout_step = FindTarget(action.Take("goto"));
      }
      action.Done();
      return;
    }
    constexpr std::array kActions{TimeoutAction::kSkip, TimeoutAction::kEnd, TimeoutAction::kPlay};
    std::vector<std::string> names{"skip", "end"};
    if (step.kind == StepKind::kPlay) names.emplace_back("play");
    step.on_timeout = kActions[map.Choice("on_timeout", names)];
    step.timeout_clip = step.clip;
  }

  void Check() const {
    const bool has_mark = std::any_of(script_.steps.begin(), script_.steps.end(),
                                      [](const Step& step) { return step.mark; });
    const ScriptTask task = script_.task;
    const bool needs_mark = task == ScriptTask::kTurnTaking || task == ScriptTask::kInterruption ||
                            task == ScriptTask::kPauseHandling;
    if (needs_mark && !has_mark) {
      root_.Fail("task", fmt::format("is {}, which needs a step with 'mark: true': the event that "
                                     "is scored",
                                     Name(task)));
    }
    if (script_.IsDyad() && task != ScriptTask::kNone && task != ScriptTask::kChannels) {
      root_.Fail("task", "is for a dialogue with one agent; two of them can have 'channels'");
    }
    if (const auto circle = CircleWithoutTime(script_.steps)) {
      std::vector<std::string> ids;
      for (const size_t step : *circle) ids.push_back(script_.steps[step].id);
      base::ThrowBadInput(
          fmt::format("{}: the steps {} go round in a circle without waiting for anything; put a "
                      "'wait' into it",
                      script_.steps[circle->front()].where, fmt::join(ids, " -> ")));
    }
  }

  std::string path_;
  YamlMap root_;
  DialogueScript script_;
  Places clip_places_;
  Places ids_;      // of steps
  Places targets_;  // steps with ids, and the first ones of branches
  std::set<std::string> aimed_at_;
  std::vector<StepList> lists_;
  size_t steps_placed_ = 0;
};

}  // namespace

DialogueScript ParseScript(const std::string& yaml, const std::string& path) {
  return Parser(yaml, path).Parse();
}

DialogueScript LoadScript(const std::string& path) {
  return ParseScript(base::ReadSmallFile(path, kMaxScriptBytes, "a dialogue script (YAML)"), path);
}

}  // namespace ppx::script
