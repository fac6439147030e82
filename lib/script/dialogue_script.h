// lib/script/dialogue_script.h: what the user does in a dialogue, and when: a timeline of clips
// that may react to the agent. eval/scripts/README.md describes the files for those who write them.
//
// Plain data: parsed, checked, with names resolved to indices. Const after parsing, then safe to
// use from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ppx::script {

// What a script tests, which decides the annotation that a run leaves (script_events.h).
enum class ScriptTask {
  kNone,
  kPauseHandling,
  kTurnTaking,
  kBackchannel,
  kInterruption,
  kChannels
};
// "", "pause_handling", "turn_taking", "backchannel", "interruption", "channels".
std::string_view Name(ScriptTask task);

// A sound that steps can play: of a file, or a text for a synthesiser.
struct Clip {
  std::string name;
  std::string where;  // "greet.yaml:12:3", for messages

  std::string file;  // resolved; empty: `say` is spoken
  int channel = 0;
  double from_s = 0;  // of the file, before anything else is done
  std::optional<double> to_s;

  std::string say;
  // What the synthesiser's command has {places} for: "voice" and others.
  std::map<std::string, std::string> options;

  std::string text;  // the words in it, for annotations; of a spoken clip what it says
  bool trim = false;
  std::optional<double> loudness_lufs;
  double gain_db = 0;
  double fade_in_s = 0;
  double fade_out_s = 0;
};

enum class NoiseKind { kWhite, kPink, kFile };

struct NoiseSpec {
  NoiseKind kind = NoiseKind::kWhite;
  std::string where;
  std::string file;  // resolved; of kFile
  int channel = 0;
  // Exactly one of them. `snr_db` is below the clips' speech, `level_db` an RMS re full scale.
  std::optional<double> snr_db;
  std::optional<double> level_db;
};

// A clip at a fixed time, beside whatever the steps do.
struct BackgroundClip {
  size_t clip = 0;
  double at_s = 0;
};

enum class ConditionKind {
  kAt,           // the dialogue has lasted `seconds`
  kAfter,        // `seconds` after the end of the step `after`, or of the dialogue's start
  kDelay,        // `seconds` after the step was reached
  kAgentStarts,  // the agent begins to speak
  kAgentSpoken,  // the agent has been speaking for `seconds`
  kAgentStops,   // the agent stops speaking
  kAgentSilent,  // the agent has been silent for `seconds`
  kAgentSays     // the agent says one of `phrases`
};
// "at_s", "after", "delay_s", "agent_starts" ...
std::string_view Name(ConditionKind kind);

struct Condition {
  ConditionKind kind = ConditionKind::kDelay;
  double seconds = 0;
  std::optional<size_t> after;                    // a step; no value: the start
  std::vector<std::vector<std::string>> phrases;  // words as NormalWord gives them
  std::optional<size_t> goto_step;                // of a branch: where it leads
  std::string label;                              // of a branch: the name of that place
};

enum class StepKind { kPlay, kWait, kBranch, kGoto, kEnd };
enum class TimeoutAction { kSkip, kPlay, kGoto, kEnd };

struct Step {
  std::string id;     // as given, or "steps.3", "again.1": the list and the place in it, from 1
  std::string where;  // "greet.yaml:30:5"
  StepKind kind = StepKind::kWait;

  // Any of them lets the step happen; without any it happens when it is reached.
  std::vector<Condition> conditions;
  std::optional<double> within_s;
  TimeoutAction on_timeout = TimeoutAction::kSkip;
  size_t timeout_clip = 0;
  size_t timeout_step = 0;
  std::string timeout_label;

  size_t clip = 0;         // of kPlay
  bool overlap = false;    // the next step is reached when the clip starts, not when it ends
  bool mark = false;       // the annotated event
  size_t goto_step = 0;    // of kGoto
  std::string label;       // of kGoto
  std::string end_reason;  // of kEnd; may be empty

  std::optional<size_t> next;  // in its list
};

// One model, and what is done to it. What a script does not say has no value: the caller's own
// settings count.
struct AgentSpec {
  std::optional<std::string> persona;  // as written
  std::optional<std::string> text_prompt;
  std::optional<std::string> voice_prompt;
  std::optional<int64_t> seed;
  std::optional<size_t> first_step;  // of what this agent hears
};

// How agents' speech is heard; annotate/live_speech.h says more.
struct HearingSpec {
  double min_speech_s = 0.1;
  double min_silence_s = 0.3;
  // Speech from this level up, whatever the noise; no value: above an adaptive floor.
  std::optional<double> threshold_db;
};

struct DialogueScript {
  std::string path;
  std::string name;
  std::string description;
  ScriptTask task = ScriptTask::kNone;
  double duration_s = 120;  // the dialogue ends here, whatever goes on
  double tail_s = 5;        // from the end of the last step to the end of the dialogue
  HearingSpec hearing;

  AgentSpec agent;                   // the model, or agent_a
  std::optional<AgentSpec> agent_b;  // a second one: the two hear each other

  std::vector<Clip> clips;  // in the order of the file
  std::optional<NoiseSpec> noise;
  std::vector<BackgroundClip> background;  // of agent_a alone where there are two
  std::vector<Step> steps;                 // of all lists

  bool IsDyad() const { return agent_b.has_value(); }
};

// Throws base::Error (kBadInput): "path:line:column: what is wrong, and what was expected": for
// YAML that does not parse, unknown or repeated keys, wrong types and ranges, names of clips, steps
// and branches that are not there (with the nearest that is), files that are not there, branches
// that nothing leads to, and circles of steps that take no time.
DialogueScript LoadScript(const std::string& path);
// The same from a file's bytes; files are looked for in the folder of `path`.
DialogueScript ParseScript(const std::string& yaml, const std::string& path);

// Every file that a run of the script depends on, the script first, then in the order of their
// names, each once. What a synthesiser depends on is its identity() and is not here.
std::vector<std::string> FilesOf(const DialogueScript& script);

// Whether a clip is spoken by a synthesiser.
bool NeedsSynthesiser(const DialogueScript& script);

}  // namespace ppx::script
