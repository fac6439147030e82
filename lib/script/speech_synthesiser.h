// lib/script/speech_synthesiser.h: what turns a text into speech, whichever way it does.
#pragma once

#include <map>
#include <string>

#include "base/timeline.h"

namespace ppx::script {

// Implementations may be used from several threads at once.
class SpeechSynthesiser {
 public:
  virtual ~SpeechSynthesiser() = default;

  // The text as speech, at any rate, with at least one sample. `options`: "voice" and whatever else
  // a script names. Throws base::Error where it cannot be made.
  virtual base::Audio Speak(const std::string& text,
                            const std::map<std::string, std::string>& options) const = 0;

  // What the speech depends on beside the text and the options, as 64 hexadecimal digits.
  virtual std::string identity() const = 0;
};

}  // namespace ppx::script
