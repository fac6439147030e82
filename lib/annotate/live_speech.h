// lib/annotate/live_speech.h: when somebody begins and stops speaking, told while the audio comes.
//
// Causal: what is said about a moment depends on the samples up to `known_sample` and on nothing
// after them, nor on how the samples were cut into calls. By level alone, as energy_vad.h, whose
// steps and bounds it shares.
//
// A step is 10 ms. Its level is the RMS of it and the step before, less their mean, in dB re full
// scale (a full-scale square wave has 0 dB). From the on-threshold up a step is loud, below the
// off-threshold it is quiet, in between it is what the step before was. The thresholds are
// `absolute_on_db` and `absolute_off_db`; with `adaptive` they are raised to `on_db` and `off_db`
// above the noise floor where that is higher. The floor is a low percentile of the levels of the
// last `floor_window_s`, digital silence left out, kept within bounds; in the first `learn_s` it is
// not above `first_floor_db`, so that audio which begins with speech is not taken for noise; audio
// that begins with noise louder than this by `on_db` is taken for speech as long.
//
// Speech starts at the first loud step of a stretch that lasts `min_speech_ms` with no more than
// `max_dip_ms` of quiet in a row, and is known then: `min_speech_ms` after its start. It stops at
// the first of `min_silence_ms` of quiet, and is known at the end of these. Add up to two steps to
// both, as sound fills a step's window little by little.
//
// Not done: telling speech from other sounds. A steady sound is noise to the adaptive thresholds
// once it has lasted a few seconds, unless it is louder than `max_floor_db` + `on_db`. A jump of
// the offset counts as 20 ms of sound. Samples that are not finite count as silence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "annotate/level_histogram.h"

namespace ppx::annotate {

struct LiveSpeechOptions {
  int64_t min_speech_ms = 100;   // 10 or more
  int64_t min_silence_ms = 300;  // 10 or more
  int64_t max_dip_ms = 50;
  double absolute_on_db = -50.0;
  double absolute_off_db = -55.0;
  bool adaptive = true;
  double on_db = 10.0;  // above the floor
  double off_db = 6.0;
  double floor_percentile = 0.1;
  double floor_window_s = 10.0;
  double min_floor_db = -75.0;
  double max_floor_db = -35.0;
  double first_floor_db = -60.0;
  double learn_s = 1.0;
};

// Speech began, or ended, at `at_sample`, and nobody could know before `known_sample` samples had
// come.
struct SpeechChange {
  bool speech = false;
  int64_t at_sample = 0;
  int64_t known_sample = 0;

  bool operator==(const SpeechChange&) const = default;
};

// Not thread-safe; copies go on independently.
class LiveSpeech {
 public:
  static constexpr int kMinRateHz = 1000;

  // Throws base::Error: kBadInput for a rate below kMinRateHz, kUsage for options that contradict
  // each other.
  explicit LiveSpeech(int rate_hz, const LiveSpeechOptions& options = {});

  // Any number of samples. The changes that became known by them, in order; starts and ends take
  // turns. Samples of an unfinished step wait for the next call.
  std::vector<SpeechChange> Push(std::span<const float> samples);

  // As far as is known by now.
  bool speaking() const { return speaking_; }
  int64_t samples() const { return samples_; }

 private:
  // Ends a step; the change that becomes known by it.
  std::optional<SpeechChange> EndStep();
  double Floor();
  std::optional<SpeechChange> Follow(bool loud);

  LiveSpeechOptions options_;
  int64_t step_;  // samples
  int64_t samples_ = 0;

  // Sums over the step under way and over the last finished one.
  struct Sums {
    double sum = 0;
    double square = 0;
    int64_t count = 0;
  };
  Sums now_;
  Sums before_;

  LevelHistogram levels_;
  std::deque<double> window_;  // what is in `levels_`, the oldest first
  bool loud_ = false;

  bool speaking_ = false;
  std::optional<int64_t> start_;  // of loud steps that may become speech
  std::optional<int64_t> quiet_;  // since when the steps are quiet, within speech or such a start
};

}  // namespace ppx::annotate
