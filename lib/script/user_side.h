// lib/script/user_side.h: a script being performed: what one agent hears, frame by frame.
//
// Strictly causal: frame t depends on what was heard of the agent in frames before t, and on the
// script, the clips and the seed; on nothing else, neither the machine nor the clock.
//
// Time is counted in samples. A condition on time holds at its very sample, within a frame too. A
// condition on the agent is looked at where a frame begins, with all that was heard until then, and
// only what became known after its step was reached counts: a start, a stop, a word; how long the
// agent has been speaking or silent is counted from there where it began earlier. Where several
// conditions of a step hold, the earliest counts, then the one written first, and a time-out last.
//
// A step is reached when the one before is over: a clip when it has been played to its end (with
// `overlap` when it starts), everything else when it happens. The end of a list of steps is the end
// of the script: `tail_s` later, also after clips of steps that still play, the dialogue ends. So
// it does after an `end`; and at `duration_s`, whatever goes on. Where two agents talk to each
// other the end of the steps ends nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/timeline.h"
#include "script/clip_set.h"
#include "script/dialogue_script.h"
#include "script/listener.h"
#include "script/noise.h"
#include "script/script_events.h"

namespace ppx::script {

// Not thread-safe: one thread at a time. Copies go on independently.
class UserSide {
 public:
  // `script` outlives this; `clips` were loaded of it at the same rate. `seed` is of the noise: the
  // script's own where nobody gave another. `side` kB: what agent_b hears. Throws base::Error:
  // kBadInput for a rate below 1000 Hz, kInternal for clips that do not belong to the script and
  // for frames without samples.
  UserSide(const DialogueScript& script, std::shared_ptr<const ClipSet> clips, int sample_rate_hz,
           int frame_samples, uint64_t seed, Side side = Side::kA);

  // The next frame, [frame_samples] f32, not clipped. Throws base::Error (kInternal) once
  // `finished`.
  std::vector<float> NextFrame();

  // The agent's frame that belongs to the last user frame: [frame_samples] f32, or empty for a
  // frame in which it gave nothing, and the words that became known since the last call. Once a
  // frame. Throws base::Error (kInternal) for another length, or a frame that was not yet spoken
  // into.
  void HearAgent(std::span<const float> pcm, std::span<const base::TimedWord> words);

  // The dialogue is over; its last frame was given. With two agents it is over for both as soon as
  // one side has finished.
  bool finished() const { return finished_; }
  // Of what has been given, in the order of recording. Complete once `finished` and the agent's
  // last frame was heard.
  const std::vector<ScriptEvent>& events() const { return events_; }
  int64_t frames() const { return frame_; }
  // The dialogue is never longer.
  int64_t max_frames() const { return max_frames_; }

 private:
  struct Playing {
    size_t clip = 0;
    int64_t start = 0;
    ScriptEvent end;  // what is recorded when it is over
  };
  // Something that a step does, and when.
  struct Happening {
    int64_t at = 0;
    const Condition* condition = nullptr;  // null: at once, or a time-out
    bool timeout = false;
  };

  int64_t Samples(double seconds) const;
  double Seconds(int64_t samples) const;
  const std::vector<float>& SamplesOf(const Playing& playing) const;
  int64_t EndOf(const Playing& playing) const;
  // The dialogue's last sample and one, as far as is known.
  int64_t End() const;

  void RunSteps(int64_t begin, int64_t end);
  std::optional<Happening> Next(const Step& step, int64_t begin, int64_t end) const;
  std::optional<int64_t> HoldsAt(const Condition& condition, int64_t begin) const;
  bool AgentDid(const Condition& condition, int64_t now) const;
  void Perform(const Step& step, const Happening& happening);
  void TimeOut(const Step& step, int64_t at);
  // Plays for a step, which is over then.
  void Play(const Step& step, size_t clip, int64_t at, std::string cause);
  void StartClip(size_t clip, int64_t at, ScriptEvent event);
  void Leave(size_t step, int64_t at);
  void Reach(std::optional<size_t> step, int64_t at);
  void EndScript(int64_t at, std::string why, std::string cause);
  void Mix(std::span<float> frame, int64_t begin);
  void Finish(int64_t end);

  ScriptEvent At(EventKind kind, int64_t at) const;
  // Records it once the time has come.
  void Schedule(int64_t at, ScriptEvent event) { scheduled_.emplace(at, std::move(event)); }
  // What was scheduled for `until` and before.
  void Record(int64_t until);

  const DialogueScript* script_;
  std::shared_ptr<const ClipSet> clips_;
  int rate_hz_;
  int64_t frame_samples_;
  Side side_;
  Listener listener_;
  std::optional<Noise> noise_;
  int64_t max_frames_;
  int64_t limit_;

  int64_t frame_ = 0;
  int64_t heard_frames_ = 0;
  bool finished_ = false;
  std::optional<size_t> step_;  // the one that has been reached
  int64_t reached_ = 0;
  std::map<size_t, int64_t> over_;  // when steps were over the last time
  std::vector<Playing> playing_;
  std::optional<int64_t> end_;
  std::string end_why_;
  std::string end_cause_;

  std::multimap<int64_t, ScriptEvent> scheduled_;
  std::vector<ScriptEvent> events_;
};

}  // namespace ppx::script
