#include "script/dialogue_script.h"

#include <algorithm>
#include <set>

namespace ppx::script {

std::string_view Name(ScriptTask task) {
  switch (task) {
    case ScriptTask::kNone:
      break;
    case ScriptTask::kPauseHandling:
      return "pause_handling";
    case ScriptTask::kTurnTaking:
      return "turn_taking";
    case ScriptTask::kBackchannel:
      return "backchannel";
    case ScriptTask::kInterruption:
      return "interruption";
    case ScriptTask::kChannels:
      return "channels";
  }
  return "";
}

std::string_view Name(ConditionKind kind) {
  switch (kind) {
    case ConditionKind::kAt:
      return "at_s";
    case ConditionKind::kAfter:
      return "after";
    case ConditionKind::kDelay:
      return "delay_s";
    case ConditionKind::kAgentStarts:
      return "agent_starts";
    case ConditionKind::kAgentSpoken:
      return "agent_spoken_s";
    case ConditionKind::kAgentStops:
      return "agent_stops";
    case ConditionKind::kAgentSilent:
      return "agent_silent_s";
    case ConditionKind::kAgentSays:
      return "agent_says";
  }
  return "";
}

std::vector<std::string> FilesOf(const DialogueScript& script) {
  std::set<std::string> named;
  for (const Clip& clip : script.clips) {
    if (!clip.file.empty()) named.insert(clip.file);
  }
  if (script.noise && !script.noise->file.empty()) named.insert(script.noise->file);
  named.erase(script.path);
  std::vector<std::string> files{script.path};
  files.insert(files.end(), named.begin(), named.end());
  return files;
}

bool NeedsSynthesiser(const DialogueScript& script) {
  return std::any_of(script.clips.begin(), script.clips.end(),
                     [](const Clip& clip) { return clip.file.empty(); });
}

}  // namespace ppx::script
