// lib/annotate/energy_vad.h: a detector that goes by level alone. It needs no model and no certain
// sample rate, and its errors are not those of a neural detector, which makes it the second
// opinion.
//
// The level of a step of 10 ms is the RMS of the 20 ms around it less their mean, so that an offset
// does not count as sound, in dB re full scale (a full-scale square wave has 0 dB). The noise floor
// at a step is a low percentile of the levels within some seconds around it, kept within bounds;
// steps of digital silence are left out of it, as they say nothing about the noise of a recording
// that was padded. A step is speech from `on_db` above the floor and silence below `off_db` above
// it, neither of them lower than an absolute level; in between it stays what it was. From there on
// the rules are those of vad_segments.h: minimum speech, minimum silence, padding (hang-over).
//
// Not done: telling speech from other sounds. Music, a door, a cough above the floor are speech; so
// is a change of the noise for a while. A steady sound below `max_floor_db` + `on_db` is noise,
// even if it is a voice that never pauses nor changes its level.
#pragma once

#include <string>
#include <vector>

#include "annotate/vad.h"
#include "base/timeline.h"

namespace ppx::annotate {

struct EnergyVadOptions {
  double floor_percentile = 0.1;  // of the levels around a step, 0 to 1
  double floor_window_s = 10.0;   // how much time that is, half of it on either side
  double min_floor_db = -75.0;
  double max_floor_db = -35.0;
  double on_db = 10.0;
  double off_db = 6.0;
  double absolute_on_db = -50.0;
  double absolute_off_db = -55.0;
  // An energy gate falls into the closure of a plosive, which a model hears through: its pauses are
  // longer than the 100 ms of vad_segments.h.
  int64_t min_silence_ms = 200;
  int64_t min_speech_ms = 250;
  int64_t pad_ms = 30;
};

class EnergyVad final : public Vad {
 public:
  static constexpr int kMinRateHz = 1000;

  // Throws base::Error (kUsage) for options that contradict each other.
  explicit EnergyVad(const EnergyVadOptions& options = {});

  // Any rate from kMinRateHz on; throws base::Error (kBadInput) below it.
  using Vad::Detect;
  std::vector<base::Segment> Detect(const base::Audio& audio,
                                    std::optional<Lengths> lengths) const override;
  VadIdentity identity() const override;
  double step_s() const override { return 0.01; }

 private:
  EnergyVadOptions options_;
};

}  // namespace ppx::annotate
