// lib/annotate/vad.h: what finds speech in a recording, whichever way it does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/timeline.h"

namespace ppx::annotate {

// Which detector made a result: results of different ones are not compared without a warning.
struct VadIdentity {
  std::string name;     // "silero", "energy"
  std::string version;  // rises where the same audio may give other segments
  std::string sha256;   // of the model's file, or of the settings where there is no file

  bool operator==(const VadIdentity&) const = default;
};

// Implementations keep nothing from one recording to the next: `Detect` may be called for several
// recordings from several threads at once, and what it gives for one depends on nothing else.
class Vad {
 public:
  virtual ~Vad() = default;

  // How long speech and silence must be to count, in milliseconds.
  struct Lengths {
    int64_t min_speech_ms;
    int64_t min_silence_ms;
  };

  // Stretches of speech in seconds, in order, not overlapping, within the audio, not rounded.
  // Audio without samples has none. Samples are finite. Throws base::Error (kBadInput) for a sample
  // rate that the detector cannot use.
  // `lengths`: in place of the detector's own.
  virtual std::vector<base::Segment> Detect(const base::Audio& audio,
                                            std::optional<Lengths> lengths) const = 0;
  std::vector<base::Segment> Detect(const base::Audio& audio) const {
    return Detect(audio, std::nullopt);
  }

  virtual VadIdentity identity() const = 0;

  // The raster of starts and ends before padding: no event is placed more finely.
  virtual double step_s() const = 0;
};

}  // namespace ppx::annotate
