// lib/annotate/vad_segments.h: speech probabilities, one a window -> stretches of speech.
//
// The rules of Silero's `get_speech_timestamps` (github.com/snakers4/silero-vad, MIT), without a
// maximum length of speech, to the sample. Window i begins at t = i * window_samples; the last one
// may reach beyond the audio.
//  - p >= threshold: a pending end is forgotten; outside speech, speech starts at t.
//  - p < negative_threshold, in speech: the first such window makes its t the pending end. Once
//    t - pending >= min silence, the stretch ends at `pending`, and is kept if it is longer than
//    min speech.
//  - anything between the two thresholds changes nothing.
//  - speech that lasts to the end ends with the audio, also where an end is pending.
// Then each stretch grows by pad_samples on both sides within the audio; where two are nearer than
// 2 * pad_samples, each takes the half of the gap between them (rounded down).
//
// p is float32 and compared as a double: the float32 nearest to 0.35 lies below 0.35.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ppx::annotate {

struct SegmentOptions {
  double threshold = 0.5;
  double negative_threshold = 0.35;
  int64_t min_speech_ms = 250;   // a stretch is kept where it is longer than this
  int64_t min_silence_ms = 100;  // a pause ends a stretch from this length on
  int64_t pad_samples = 480;     // 30 ms at 16 kHz
  int64_t window_samples = 512;
  int64_t rate_hz = 16'000;
};

// [start, end) in samples.
struct SampleSegment {
  int64_t start = 0;
  int64_t end = 0;

  bool operator==(const SampleSegment&) const = default;
};

// The rules above, window by window, for audio that is still coming. One thread.
class SegmentTracker {
 public:
  // Throws base::Error (kInternal) for options that make no sense: a window, a rate or a length
  // below what it can be, negative_threshold above threshold.
  explicit SegmentTracker(const SegmentOptions& options);

  void Push(float probability);

  // Whether the last window pushed belongs to a stretch that has not ended.
  bool in_speech() const { return start_.has_value(); }

  // The segments if the audio ended now, after `samples` samples; in order, not overlapping. More
  // may be pushed afterwards.
  // Throws base::Error (kInternal) where `samples` needs more or fewer windows than were pushed.
  std::vector<SampleSegment> Finish(int64_t samples) const;

 private:
  bool LongEnough(int64_t start, int64_t end) const;

  SegmentOptions options_;
  int64_t windows_ = 0;
  std::optional<int64_t> start_;       // of the stretch that has not ended
  std::optional<int64_t> pending_;     // where it ends, if the silence lasts
  std::vector<SampleSegment> closed_;  // without padding
};

// A whole file: probabilities [ceil(samples / window_samples)] f32. Throws as SegmentTracker does.
std::vector<SampleSegment> SegmentsFromProbabilities(std::span<const float> probabilities,
                                                     int64_t samples,
                                                     const SegmentOptions& options);

}  // namespace ppx::annotate
