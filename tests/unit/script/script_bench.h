// tests/unit/script/script_bench.h: scripts, sounds and agents that a test writes in a few lines.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "audio/wav_writer.h"
#include "base/error.h"
#include "base/timeline.h"
#include "script/clip_set.h"
#include "script/dialogue_script.h"
#include "script/script_events.h"
#include "script/speech_synthesiser.h"
#include "script/user_side.h"
#include "support/temp_dir.h"

namespace ppx::script {

inline constexpr int kRateHz = 8000;
inline constexpr int kFrame = 640;  // 80 ms

inline int64_t At(double seconds) { return std::llround(seconds * kRateHz); }

// A tone, which the detector takes for speech.
inline std::vector<float> Tone(double seconds, float peak = 0.3F) {
  std::vector<float> samples(static_cast<size_t>(At(seconds)));
  for (size_t i = 0; i < samples.size(); ++i) {
    const double t = static_cast<double>(i) / kRateHz;
    samples[i] = peak * static_cast<float>(std::sin(2 * std::numbers::pi * 200 * t));
  }
  return samples;
}

inline void WriteSound(const std::string& path, const std::vector<float>& samples,
                       int rate_hz = kRateHz) {
  audio::WriteWav(path, {samples}, rate_hz, audio::SampleFormat::kFloat32);
}

// A folder with one.wav (1 s of 0.25) and half.wav (0.5 s of 0.5), whose mix is easy to read.
struct Bench {
  testing::TempDir dir;
  std::string path = dir.File("test.yaml");

  Bench() {
    WriteSound(dir.File("one.wav"), std::vector<float>(kRateHz, 0.25F));
    WriteSound(dir.File("half.wav"), std::vector<float>(kRateHz / 2, 0.5F));
  }
  DialogueScript Parse(const std::string& yaml) const { return ParseScript(yaml, path); }
  // The usual clips, and `rest`.
  DialogueScript WithClips(const std::string& rest) const {
    return Parse("clips: {one: {file: one.wav}, half: {file: half.wav}}\n" + rest);
  }
};

// Speech from `from_s` to `to_s`, and words.
struct Agent {
  std::vector<base::Segment> speech;
  std::vector<base::TimedWord> words;  // known once their start has been heard

  std::vector<float> Frame(int64_t frame) const {
    std::vector<float> pcm(kFrame, 0.0F);
    for (int64_t i = 0; i < kFrame; ++i) {
      const double t = static_cast<double>(frame * kFrame + i) / kRateHz;
      for (const base::Segment& said : speech) {
        if (t < said.start_s || t >= said.end_s) continue;
        pcm[static_cast<size_t>(i)] =
            0.3F * static_cast<float>(std::sin(2 * std::numbers::pi * 200 * t));
      }
    }
    return pcm;
  }
  std::vector<base::TimedWord> Words(int64_t frame) const {
    std::vector<base::TimedWord> known;
    const double begin_s = static_cast<double>(frame * kFrame) / kRateHz;
    const double end_s = begin_s + static_cast<double>(kFrame) / kRateHz;
    for (const base::TimedWord& word : words) {
      if (word.start_s >= begin_s && word.start_s < end_s) known.push_back(word);
    }
    return known;
  }
};

struct Performance {
  std::vector<float> user;
  std::vector<ScriptEvent> events;
  int64_t frames = 0;

  const ScriptEvent* Find(EventKind kind, const std::string& step = "",
                          const std::string& clip = "") const {
    for (const ScriptEvent& event : events) {
      const bool same = event.kind == kind && (step.empty() || event.step == step) &&
                        (clip.empty() || event.clip == clip);
      if (same) return &event;
    }
    return nullptr;
  }
  // -1 where there is none.
  double StartOf(const std::string& clip) const {
    const ScriptEvent* event = Find(EventKind::kClipStart, "", clip);
    return event == nullptr ? -1 : event->time_s;
  }
  std::string WhyEnded() const {
    const ScriptEvent* event = Find(EventKind::kEnd);
    return event == nullptr ? "" : event->text;
  }
  double EndedAt() const { return Find(EventKind::kEnd)->time_s; }
};

inline Performance Perform(UserSide side, const Agent& agent) {
  Performance performance;
  while (!side.finished()) {
    const int64_t frame = side.frames();
    const auto pcm = side.NextFrame();
    performance.user.insert(performance.user.end(), pcm.begin(), pcm.end());
    side.HearAgent(agent.Frame(frame), agent.Words(frame));
  }
  performance.events = side.events();
  performance.frames = side.frames();
  return performance;
}

inline Performance Perform(const DialogueScript& script, const Agent& agent = {}, uint64_t seed = 1,
                           Side side = Side::kA) {
  const auto clips = std::make_shared<const ClipSet>(LoadClips(script, kRateHz, nullptr));
  return Perform(UserSide(script, clips, kRateHz, kFrame, seed, side), agent);
}

}  // namespace ppx::script
