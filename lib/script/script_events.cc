#include "script/script_events.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/decimal.h"

namespace ppx::script {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr int kDecimals = 6;
constexpr double kAnswerDueS = 0.4;  // as long as the benchmark's marks of a turn change

double Rounded(double seconds) { return base::RoundDecimal(seconds, kDecimals); }

std::string Text(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool KnownBefore(const ScriptEvent& a, const ScriptEvent& b) { return a.known_s < b.known_s; }

Json EventJson(const ScriptEvent& event, bool dyad) {
  Json json;
  json["type"] = Name(event.kind);
  if (dyad) json["side"] = event.side == Side::kA ? "a" : "b";
  json["time_s"] = Rounded(event.time_s);
  if (event.known_s != event.time_s) json["known_s"] = Rounded(event.known_s);
  const auto put = [&](const char* key, const std::string& text) {
    if (!text.empty()) json[key] = text;
  };
  put("step", event.step);
  put("clip", event.clip);
  const bool timeout = event.kind == EventKind::kTimeout;
  put(timeout ? "action" : event.kind == EventKind::kEnd ? "why" : "text", event.text);
  put("to", event.to);
  put("cause", event.cause);
  if (event.cut) json["cut"] = true;
  if (event.mark) json["mark"] = true;
  return json;
}

struct PlayedClip {
  double start_s = 0;
  double end_s = 0;
  bool mark = false;
  std::string text;
};

// Of steps, in the order of their starts.
std::vector<PlayedClip> PlayedClips(const DialogueScript& script,
                                    std::span<const ScriptEvent> events) {
  std::vector<PlayedClip> played;
  for (size_t i = 0; i < events.size(); ++i) {
    const ScriptEvent& start = events[i];
    if (start.kind != EventKind::kClipStart || start.step.empty()) continue;
    const auto end = std::find_if(
        events.begin() + static_cast<std::ptrdiff_t>(i), events.end(), [&](const ScriptEvent& e) {
          return e.kind == EventKind::kClipEnd && e.step == start.step && e.clip == start.clip;
        });
    if (end == events.end()) continue;
    const auto clip = std::find_if(script.clips.begin(), script.clips.end(),
                                   [&](const Clip& c) { return c.name == start.clip; });
    played.push_back(
        {start.time_s, end->time_s, start.mark, clip == script.clips.end() ? "" : clip->text});
  }
  return played;
}

Json Times(double start_s, double end_s) { return Json::array({Rounded(start_s), Rounded(end_s)}); }

Json Interruptions(std::span<const PlayedClip> played) {
  Json list = Json::array();
  for (size_t i = 0; i < played.size(); ++i) {
    if (!played[i].mark) continue;
    Json item;
    item["context"] = i > 0 ? played[i - 1].text : "";
    item["interrupt"] = played[i].text;
    item["timestamp"] = Times(played[i].start_s, played[i].end_s);
    list.push_back(std::move(item));
  }
  return list;
}

Json TurnChanges(std::span<const PlayedClip> played) {
  Json list = Json::array();
  for (const PlayedClip& clip : played) {
    if (!clip.mark) continue;
    Json item;
    item["text"] = "[TURN-TAKING]";
    item["timestamp"] = Times(clip.end_s, clip.end_s + kAnswerDueS);
    list.push_back(std::move(item));
  }
  return list;
}

Json Pauses(std::span<const PlayedClip> played) {
  Json list = Json::array();
  for (size_t i = 0; i + 1 < played.size(); ++i) {
    if (!played[i].mark || played[i + 1].start_s < played[i].end_s) continue;
    Json item;
    item["text"] = "[PAUSE]";
    item["timestamp"] = Times(played[i].end_s, played[i + 1].start_s);
    list.push_back(std::move(item));
  }
  return list;
}

}  // namespace

std::string_view Name(EventKind kind) {
  switch (kind) {
    case EventKind::kAgentSpeechStart:
      return "agent_speech_start";
    case EventKind::kAgentSpeechStop:
      return "agent_speech_stop";
    case EventKind::kAgentWord:
      return "agent_word";
    case EventKind::kStep:
      return "step";
    case EventKind::kClipStart:
      return "clip_start";
    case EventKind::kClipEnd:
      return "clip_end";
    case EventKind::kTimeout:
      return "timeout";
    case EventKind::kBranch:
      return "branch";
    case EventKind::kEnd:
      return "end";
  }
  return "";
}

std::vector<ScriptEvent> MergeEvents(std::span<const ScriptEvent> a,
                                     std::span<const ScriptEvent> b) {
  std::vector<ScriptEvent> merged(a.begin(), a.end());
  merged.insert(merged.end(), b.begin(), b.end());
  std::stable_sort(merged.begin(), merged.end(), KnownBefore);
  return merged;
}

std::string EventsJson(const DialogueScript& script, const EventsFacts& facts,
                       std::span<const ScriptEvent> events) {
  Json json;
  json["format"] = kFormat;
  json["script"] = script.name;
  if (script.task != ScriptTask::kNone) json["task"] = Name(script.task);
  json["seed"] = facts.seed;
  json["sample_rate_hz"] = facts.sample_rate_hz;
  json["frame_samples"] = facts.frame_samples;
  json["events"] = Json::array();
  for (const ScriptEvent& event : MergeEvents(events, {})) {
    json["events"].push_back(EventJson(event, script.IsDyad()));
  }
  return Text(json);
}

std::optional<MarksFile> MarksJson(const DialogueScript& script,
                                   std::span<const ScriptEvent> events) {
  const std::vector<PlayedClip> played = PlayedClips(script, events);
  switch (script.task) {
    case ScriptTask::kInterruption:
      return MarksFile{"interrupt.json", Text(Interruptions(played))};
    case ScriptTask::kTurnTaking:
      return MarksFile{"turn_taking.json", Text(TurnChanges(played))};
    case ScriptTask::kPauseHandling:
      return MarksFile{"pause.json", Text(Pauses(played))};
    case ScriptTask::kNone:
    case ScriptTask::kBackchannel:
    case ScriptTask::kChannels:
      break;
  }
  return std::nullopt;
}

}  // namespace ppx::script
