#include "script/user_side.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace ppx::script {
namespace {

// So that the two agents of a dialogue hear different noise.
constexpr uint64_t kOtherSide = 0x9E3779B97F4A7C15;

const char* ActionName(TimeoutAction action) {
  switch (action) {
    case TimeoutAction::kSkip:
      return "skip";
    case TimeoutAction::kPlay:
      return "play";
    case TimeoutAction::kGoto:
      return "goto";
    case TimeoutAction::kEnd:
      break;
  }
  return "end";
}

}  // namespace

UserSide::UserSide(const DialogueScript& script, std::shared_ptr<const ClipSet> clips,
                   int sample_rate_hz, int frame_samples, uint64_t seed, Side side)
    : script_(&script),
      clips_(std::move(clips)),
      rate_hz_(sample_rate_hz),
      frame_samples_(frame_samples),
      side_(side),
      listener_(sample_rate_hz, script.hearing) {
  if (frame_samples < 1) base::ThrowInternal("a script in frames without samples");
  if (clips_ == nullptr || clips_->sample_rate_hz != sample_rate_hz ||
      clips_->clips.size() != script.clips.size()) {
    base::ThrowInternal("a script with clips of another script or sample rate");
  }
  if (side == Side::kB && !script.IsDyad()) {
    base::ThrowInternal("the other agent's side of a script with one agent");
  }
  limit_ = std::max<int64_t>(1, Samples(script.duration_s));
  max_frames_ = (limit_ + frame_samples_ - 1) / frame_samples_;
  if (script.noise) {
    noise_.emplace(script.noise->kind, clips_->noise_rms, clips_->noise,
                   side == Side::kA ? seed : seed ^ kOtherSide);
  }
  if (side == Side::kA) {
    for (const BackgroundClip& background : script.background) {
      StartClip(background.clip, Samples(background.at_s), At(EventKind::kClipStart, 0));
    }
  }
  const AgentSpec& agent = side == Side::kA ? script.agent : *script.agent_b;
  if (agent.first_step) Reach(agent.first_step, 0);
}

int64_t UserSide::Samples(double seconds) const { return std::llround(seconds * rate_hz_); }

double UserSide::Seconds(int64_t samples) const { return static_cast<double>(samples) / rate_hz_; }

const std::vector<float>& UserSide::SamplesOf(const Playing& playing) const {
  return clips_->clips[playing.clip];
}

int64_t UserSide::EndOf(const Playing& playing) const {
  return playing.start + static_cast<int64_t>(SamplesOf(playing).size());
}

int64_t UserSide::End() const { return std::min(limit_, end_.value_or(limit_)); }

ScriptEvent UserSide::At(EventKind kind, int64_t at) const {
  ScriptEvent event;
  event.kind = kind;
  event.side = side_;
  event.time_s = event.known_s = Seconds(at);
  return event;
}

void UserSide::Record(int64_t until) {
  const auto end = scheduled_.upper_bound(until);
  for (auto event = scheduled_.begin(); event != end; ++event) {
    events_.push_back(std::move(event->second));
  }
  scheduled_.erase(scheduled_.begin(), end);
}

std::vector<float> UserSide::NextFrame() {
  if (finished_) base::ThrowInternal("a frame after the end of a scripted dialogue");
  const int64_t begin = frame_ * frame_samples_;
  const int64_t end = begin + frame_samples_;
  RunSteps(begin, end);
  std::vector<float> frame(static_cast<size_t>(frame_samples_), 0.0F);
  Mix(frame, begin);
  ++frame_;
  if (End() <= end) {
    Finish(End());
  } else {
    Record(end - 1);
    std::erase_if(playing_, [&](const Playing& playing) { return EndOf(playing) < end; });
  }
  return frame;
}

void UserSide::HearAgent(std::span<const float> pcm, std::span<const base::TimedWord> words) {
  if (heard_frames_ >= frame_) base::ThrowInternal("the agent's answer to a frame yet to come");
  if (!pcm.empty() && static_cast<int64_t>(pcm.size()) != frame_samples_) {
    base::ThrowInternal("a frame of the agent that is not as long as the user's");
  }
  ++heard_frames_;
  const std::vector<float> silence(pcm.empty() ? static_cast<size_t>(frame_samples_) : size_t{0},
                                   0.0F);
  for (const auto& change : listener_.Hear(pcm.empty() ? std::span(silence) : pcm, words)) {
    ScriptEvent event =
        At(change.speech ? EventKind::kAgentSpeechStart : EventKind::kAgentSpeechStop,
           change.at_sample);
    event.known_s = Seconds(change.known_sample);
    events_.push_back(std::move(event));
  }
  for (const base::TimedWord& word : words) {
    ScriptEvent event = At(EventKind::kAgentWord, listener_.heard());
    event.time_s = word.start_s;
    event.text = word.text.substr(std::min(word.text.find_first_not_of(' '), word.text.size()));
    events_.push_back(std::move(event));
  }
}

void UserSide::RunSteps(int64_t begin, int64_t end) {
  while (step_ && reached_ < end) {
    const Step& step = script_->steps[*step_];
    const auto happening = Next(step, begin, std::min(end, End()));
    if (!happening) return;
    Record(happening->at);
    Perform(step, *happening);
  }
}

// What happens to the step that was reached, within [begin, end).
std::optional<UserSide::Happening> UserSide::Next(const Step& step, int64_t begin,
                                                  int64_t end) const {
  std::optional<Happening> first;
  const auto consider = [&](int64_t at, const Condition* condition, bool timeout) {
    if (at < end && (!first || at < first->at)) first = {at, condition, timeout};
  };
  if (step.conditions.empty()) consider(reached_, nullptr, false);
  for (const Condition& condition : step.conditions) {
    if (const auto at = HoldsAt(condition, begin)) consider(*at, &condition, false);
  }
  if (step.within_s) consider(reached_ + Samples(*step.within_s), nullptr, true);
  return first;
}

// When the condition holds, as far as can be said where the frame at `begin` begins.
std::optional<int64_t> UserSide::HoldsAt(const Condition& condition, int64_t begin) const {
  switch (condition.kind) {
    case ConditionKind::kAt:
      return std::max(reached_, Samples(condition.seconds));
    case ConditionKind::kDelay:
      return reached_ + Samples(condition.seconds);
    case ConditionKind::kAfter: {
      int64_t from = 0;
      if (condition.after) {
        const auto over = over_.find(*condition.after);
        from = over == over_.end() ? reached_ : over->second;
      }
      return std::max(reached_, from + Samples(condition.seconds));
    }
    case ConditionKind::kAgentStarts:
    case ConditionKind::kAgentSpoken:
    case ConditionKind::kAgentStops:
    case ConditionKind::kAgentSilent:
    case ConditionKind::kAgentSays:
      break;
  }
  if (reached_ > begin || !AgentDid(condition, begin)) return std::nullopt;
  return begin;
}

bool UserSide::AgentDid(const Condition& condition, int64_t now) const {
  const auto lasts = [&](std::optional<int64_t> since) {
    return since && now - std::max(*since, reached_) >= Samples(condition.seconds);
  };
  switch (condition.kind) {
    case ConditionKind::kAgentStarts:
      return listener_.StartedAfter(reached_);
    case ConditionKind::kAgentStops:
      return listener_.StoppedAfter(reached_);
    case ConditionKind::kAgentSpoken:
      return lasts(listener_.SpeakingSince());
    case ConditionKind::kAgentSilent:
      return lasts(listener_.SilentSince());
    case ConditionKind::kAgentSays:
      return listener_.SaidAfter(reached_, condition.phrases);
    case ConditionKind::kAt:
    case ConditionKind::kAfter:
    case ConditionKind::kDelay:
      break;
  }
  return false;
}

void UserSide::Perform(const Step& step, const Happening& happening) {
  const int64_t at = happening.at;
  if (happening.timeout) {
    TimeOut(step, at);
    return;
  }
  switch (step.kind) {
    case StepKind::kPlay:
      Play(step, step.clip, at,
           happening.condition != nullptr ? std::string(Name(happening.condition->kind)) : "");
      break;
    case StepKind::kWait:
      Leave(*step_, at);
      Reach(step.next, at);
      break;
    case StepKind::kBranch: {
      ScriptEvent event = At(EventKind::kBranch, at);
      event.step = step.id;
      event.to = happening.condition->label;
      event.cause = Name(happening.condition->kind);
      Schedule(at, std::move(event));
      Leave(*step_, at);
      Reach(happening.condition->goto_step, at);
      break;
    }
    case StepKind::kGoto:
      Leave(*step_, at);
      Reach(step.goto_step, at);
      break;
    case StepKind::kEnd:
      Leave(*step_, at);
      EndScript(at, "end", step.end_reason);
      break;
  }
}

void UserSide::TimeOut(const Step& step, int64_t at) {
  ScriptEvent event = At(EventKind::kTimeout, at);
  event.step = step.id;
  event.text = ActionName(step.on_timeout);
  event.to = step.timeout_label;
  Schedule(at, std::move(event));
  if (step.on_timeout == TimeoutAction::kPlay) {
    Play(step, step.timeout_clip, at, "timeout");
    return;
  }
  Leave(*step_, at);
  switch (step.on_timeout) {
    case TimeoutAction::kSkip:
    case TimeoutAction::kPlay:
      Reach(step.next, at);
      break;
    case TimeoutAction::kGoto:
      Reach(step.timeout_step, at);
      break;
    case TimeoutAction::kEnd:
      EndScript(at, "timeout", "");
      break;
  }
}

void UserSide::Play(const Step& step, size_t clip, int64_t at, std::string cause) {
  ScriptEvent event = At(EventKind::kClipStart, at);
  event.step = step.id;
  event.cause = std::move(cause);
  event.mark = step.mark;
  StartClip(clip, at, std::move(event));
  const int64_t end = EndOf(playing_.back());
  Leave(*step_, end);
  Reach(step.next, step.overlap ? at : end);
}

void UserSide::StartClip(size_t clip, int64_t at, ScriptEvent event) {
  event.clip = script_->clips[clip].name;
  event.time_s = event.known_s = Seconds(at);
  Playing playing{clip, at, event};
  const int64_t end = EndOf(playing);
  playing.end.kind = EventKind::kClipEnd;
  playing.end.cause.clear();
  playing.end.time_s = playing.end.known_s = Seconds(end);
  Schedule(at, std::move(event));
  Schedule(end, playing.end);
  playing_.push_back(std::move(playing));
}

void UserSide::Leave(size_t step, int64_t at) { over_[step] = at; }

void UserSide::Reach(std::optional<size_t> step, int64_t at) {
  if (!step) {
    if (!script_->IsDyad()) EndScript(at, "steps", "");
    step_.reset();
    return;
  }
  step_ = step;
  reached_ = at;
  ScriptEvent event = At(EventKind::kStep, at);
  event.step = script_->steps[*step].id;
  Schedule(at, std::move(event));
}

void UserSide::EndScript(int64_t at, std::string why, std::string cause) {
  step_.reset();
  int64_t quiet = at;
  for (const Playing& playing : playing_) {
    if (!playing.end.step.empty()) quiet = std::max(quiet, EndOf(playing));
  }
  end_ = std::max<int64_t>(1, quiet + Samples(script_->tail_s));
  end_why_ = std::move(why);
  end_cause_ = std::move(cause);
}

void UserSide::Mix(std::span<float> frame, int64_t begin) {
  const int64_t end = std::min(begin + frame_samples_, End());
  for (const Playing& playing : playing_) {
    const int64_t first = std::max(begin, playing.start);
    const int64_t last = std::min(end, EndOf(playing));
    for (int64_t i = first; i < last; ++i) {
      frame[static_cast<size_t>(i - begin)] +=
          SamplesOf(playing)[static_cast<size_t>(i - playing.start)];
    }
  }
  if (noise_) noise_->Add(frame.first(static_cast<size_t>(end - begin)));
}

void UserSide::Finish(int64_t end) {
  Record(end);
  for (Playing& playing : playing_) {
    if (playing.start >= end || EndOf(playing) <= end) continue;
    playing.end.time_s = playing.end.known_s = Seconds(end);
    playing.end.cut = true;
    events_.push_back(std::move(playing.end));
  }
  const bool by_limit = !end_ || *end_ > limit_;
  ScriptEvent event = At(EventKind::kEnd, end);
  event.text = by_limit ? "duration" : end_why_;
  if (!by_limit) event.cause = end_cause_;
  events_.push_back(std::move(event));
  finished_ = true;
}

}  // namespace ppx::script
