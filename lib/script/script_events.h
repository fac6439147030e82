// lib/script/script_events.h: what happened in a scripted dialogue, and the annotations that follow
// from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "script/dialogue_script.h"

namespace ppx::script {

// Whose ears: the agent of a script, or one of two.
enum class Side { kA, kB };

enum class EventKind {
  kAgentSpeechStart,
  kAgentSpeechStop,
  kAgentWord,
  kStep,  // a step was reached: its conditions count from now on
  kClipStart,
  kClipEnd,
  kTimeout,
  kBranch,
  kEnd
};
// "agent_speech_start", "agent_speech_stop", "agent_word", "step", "clip_start", "clip_end",
// "timeout", "branch", "end".
std::string_view Name(EventKind kind);

struct ScriptEvent {
  EventKind kind = EventKind::kStep;
  Side side = Side::kA;
  double time_s = 0;   // when it happened
  double known_s = 0;  // when the script could know: later than `time_s` for what the agent does
  std::string step;    // id of the step; empty for the agent's events and clips in the background
  std::string clip;    // of kClipStart and kClipEnd: its name
  // kAgentWord: the word; kTimeout: "skip", "play", "goto" or "end"; kEnd: why, "steps" (they are
  // over), "end", "timeout" or "duration".
  std::string text;
  std::string to;     // kBranch, kTimeout with "goto": the name of the place
  std::string cause;  // kClipStart, kBranch: the condition that held ("agent_stops") or "timeout";
                      // kEnd: the step's own words. May be empty.
  bool cut = false;   // kClipEnd: the dialogue ended before the clip did
  bool mark = false;  // kClipStart, kClipEnd: of a step with `mark: true`

  bool operator==(const ScriptEvent&) const = default;
};

// Of both sides of a dialogue, in the order in which they became known; those of side a first where
// they did at the same moment.
std::vector<ScriptEvent> MergeEvents(std::span<const ScriptEvent> a,
                                     std::span<const ScriptEvent> b);

// What a run has beside its events.
struct EventsFacts {
  uint64_t seed = 0;
  int sample_rate_hz = 0;
  int frame_samples = 0;
};

// The bytes of events.json:
//   {"format": 1, "script": NAME, "task"?: "interruption", "seed": 1, "sample_rate_hz": 24000,
//    "frame_samples": 1920, "events": [
//      {"type": "agent_speech_start", "time_s": 3.12, "known_s": 3.23},
//      {"type": "agent_word", "time_s": 3.2, "known_s": 3.44, "text": "hello"},
//      {"type": "step", "time_s": 4.8, "step": "interrupt"},
//      {"type": "clip_start", "time_s": 5.12, "step": "interrupt", "clip": "hold_on",
//       "cause": "agent_spoken_s", "mark": true},
//      {"type": "clip_end", "time_s": 6.0, "step": "interrupt", "clip": "hold_on", "mark": true},
//      {"type": "branch", "time_s": 7, "step": "ask", "to": "answered", "cause": "agent_starts"},
//      {"type": "timeout", "time_s": 9, "step": "wait", "action": "goto", "to": "nudge"},
//      {"type": "end", "time_s": 14.5, "why": "steps"}]}
// Events stand in the order in which they became known. `known_s` is given where it is not
// `time_s`, "side" ("a", "b") where there are two agents, "cut" where it is true. Times are rounded
// to microseconds. Equal calls give equal bytes.
std::string EventsJson(const DialogueScript& script, const EventsFacts& facts,
                       std::span<const ScriptEvent> events);

// A file of FullDuplexBench's annotations, as annotate/transcript.h reads them.
struct MarksFile {
  std::string name;
  std::string bytes;
};

// The annotation that the script's task asks for, from the clips of marked steps, in order:
//   interruption    interrupt.json     the clip; "interrupt" its words, "context" those before
//   turn_taking     turn_taking.json   from the clip's end, where an answer is due, for 0.4 s
//   pause_handling  pause.json         from the clip's end to the start of the next one of a step
// The list is empty where no marked clip was played, as the agent did not do what the script waited
// for: ppx-eval then says that there is no event (a pause it scores without one). So is it for a
// pause that no clip follows. No value for scripts of other tasks.
std::optional<MarksFile> MarksJson(const DialogueScript& script,
                                   std::span<const ScriptEvent> events);

}  // namespace ppx::script
