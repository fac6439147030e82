#include "annotate/vad_segments.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace ppx::annotate {

SegmentTracker::SegmentTracker(const SegmentOptions& options) : options_(options) {
  const bool lengths = options.window_samples >= 1 && options.rate_hz >= 1 &&
                       options.min_speech_ms >= 0 && options.min_silence_ms >= 0 &&
                       options.pad_samples >= 0;
  if (!lengths || !(options.negative_threshold <= options.threshold)) {
    base::ThrowInternal("speech segments with options that contradict each other");
  }
}

bool SegmentTracker::LongEnough(int64_t start, int64_t end) const {
  return (end - start) * 1000 > options_.min_speech_ms * options_.rate_hz;
}

void SegmentTracker::Push(float probability) {
  const int64_t t = windows_++ * options_.window_samples;
  const auto p = static_cast<double>(probability);
  if (p >= options_.threshold) {
    pending_.reset();
    if (!start_) start_ = t;
    return;
  }
  if (!start_ || !(p < options_.negative_threshold)) return;
  if (!pending_) pending_ = t;
  if ((t - *pending_) * 1000 < options_.min_silence_ms * options_.rate_hz) return;
  if (LongEnough(*start_, *pending_)) closed_.push_back({*start_, *pending_});
  start_.reset();
  pending_.reset();
}

std::vector<SampleSegment> SegmentTracker::Finish(int64_t samples) const {
  const int64_t window = options_.window_samples;
  if (samples < 0 || (samples + window - 1) / window != windows_) {
    base::ThrowInternal(fmt::format("{} speech probabilities for {} samples in windows of {}",
                                    windows_, samples, window));
  }
  std::vector<SampleSegment> segments = closed_;
  if (start_ && LongEnough(*start_, samples)) segments.push_back({*start_, samples});
  if (segments.empty()) return segments;

  const int64_t pad = options_.pad_samples;
  segments.front().start = std::max<int64_t>(0, segments.front().start - pad);
  for (size_t i = 0; i + 1 < segments.size(); ++i) {
    const int64_t gap = segments[i + 1].start - segments[i].end;
    const int64_t grow = gap < 2 * pad ? gap / 2 : pad;
    segments[i].end += grow;
    segments[i + 1].start -= grow;
  }
  segments.back().end = std::min(samples, segments.back().end + pad);
  return segments;
}

std::vector<SampleSegment> SegmentsFromProbabilities(std::span<const float> probabilities,
                                                     int64_t samples,
                                                     const SegmentOptions& options) {
  SegmentTracker tracker(options);
  for (const float probability : probabilities) tracker.Push(probability);
  return tracker.Finish(samples);
}

}  // namespace ppx::annotate
