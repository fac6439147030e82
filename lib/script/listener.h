// lib/script/listener.h: what a script knows of the agent. Inside this library only.
//
// Times are samples from the dialogue's start. "After" a moment is what became known later than it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "annotate/live_speech.h"
#include "base/timeline.h"
#include "script/dialogue_script.h"

namespace ppx::script {

class Listener {
 public:
  Listener(int sample_rate_hz, const HearingSpec& hearing);

  // The changes that became known by these samples. The words count as known at their end.
  std::vector<annotate::SpeechChange> Hear(std::span<const float> pcm,
                                           std::span<const base::TimedWord> words);

  int64_t heard() const { return detector_.samples(); }

  bool StartedAfter(int64_t moment) const { return started_.known_sample > moment; }
  bool StoppedAfter(int64_t moment) const { return stopped_.known_sample > moment; }
  // Since when; no value where it is the other way.
  std::optional<int64_t> SpeakingSince() const;
  std::optional<int64_t> SilentSince() const;
  // One of the phrases, all its words after the moment.
  bool SaidAfter(int64_t moment, std::span<const std::vector<std::string>> phrases) const;

 private:
  struct Word {
    std::string text;  // as NormalWord gives it
    int64_t known = 0;
  };

  annotate::LiveSpeech detector_;
  annotate::SpeechChange started_{true, 0, -1};
  annotate::SpeechChange stopped_{false, 0, -1};
  std::vector<Word> words_;
};

}  // namespace ppx::script
