#include "annotate/energy_vad.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "annotate/level_histogram.h"
#include "annotate/segments.h"
#include "annotate/vad_segments.h"
#include "base/digest.h"
#include "base/error.h"

namespace ppx::annotate {
namespace {

// Levels of the steps, the step in the middle of its frame of two steps.
std::vector<double> Levels(std::span<const float> samples, size_t step) {
  std::vector<double> levels;
  levels.reserve(samples.size() / step + 1);
  for (size_t at = 0; at < samples.size(); at += step) {
    const size_t first = at - std::min(at, step / 2);
    const size_t last = std::min(samples.size(), at + step + step / 2);
    double sum = 0;
    for (size_t i = first; i < last; ++i) sum += static_cast<double>(samples[i]);
    const auto count = static_cast<double>(last - first);
    const double mean = sum / count;
    double square = 0;
    for (size_t i = first; i < last; ++i) {
      const double centred = static_cast<double>(samples[i]) - mean;
      square += centred * centred;
    }
    levels.push_back(LevelDb(square / count));
  }
  return levels;
}

}  // namespace

EnergyVad::EnergyVad(const EnergyVadOptions& options) : options_(options) {
  const bool floors = options.floor_percentile >= 0 && options.floor_percentile <= 1 &&
                      options.floor_window_s > 0 && options.min_floor_db <= options.max_floor_db;
  const bool thresholds = options.off_db >= 0 && options.off_db <= options.on_db &&
                          options.absolute_off_db <= options.absolute_on_db;
  const bool times =
      options.min_silence_ms >= 0 && options.min_speech_ms >= 0 && options.pad_ms >= 0;
  if (!floors || !thresholds || !times) {
    base::ThrowUsage(
        "the energy detector's settings contradict each other: lower bounds and off-thresholds "
        "must not be above upper bounds and on-thresholds, times not below 0");
  }
}

std::vector<base::Segment> EnergyVad::Detect(const base::Audio& audio,
                                             std::optional<Lengths> lengths) const {
  const int rate_hz = audio.sample_rate_hz;
  if (rate_hz < kMinRateHz) {
    base::ThrowBadInput(
        fmt::format("audio at {} Hz: speech is looked for at {} Hz and more; resample it first",
                    rate_hz, kMinRateHz));
  }
  const auto step = static_cast<size_t>(std::lround(step_s() * rate_hz));
  const std::vector<double> levels = Levels(audio.samples, step);

  SegmentOptions rules;
  rules.min_speech_ms = lengths ? lengths->min_speech_ms : options_.min_speech_ms;
  rules.min_silence_ms = lengths ? lengths->min_silence_ms : options_.min_silence_ms;
  rules.pad_samples = options_.pad_ms * rate_hz / 1000;
  rules.window_samples = static_cast<int64_t>(step);
  rules.rate_hz = rate_hz;
  SegmentTracker tracker(rules);

  const auto half = static_cast<size_t>(options_.floor_window_s / 2 / step_s());
  LevelHistogram around;
  for (size_t i = 0; i < std::min(half, levels.size()); ++i) around.Add(levels[i]);
  for (size_t i = 0; i < levels.size(); ++i) {
    if (i + half < levels.size()) around.Add(levels[i + half]);
    if (i > half) around.Remove(levels[i - half - 1]);
    const double floor_db =
        std::clamp(around.Percentile(options_.floor_percentile, options_.min_floor_db),
                   options_.min_floor_db, options_.max_floor_db);
    const double on_db = std::max(floor_db + options_.on_db, options_.absolute_on_db);
    const double off_db = std::max(floor_db + options_.off_db, options_.absolute_off_db);
    // Above, between or below the tracker's two thresholds.
    const double between = (rules.threshold + rules.negative_threshold) / 2;
    const double verdict = levels[i] >= on_db ? 1.0 : levels[i] >= off_db ? between : 0.0;
    tracker.Push(static_cast<float>(verdict));
  }
  return ToSeconds(tracker.Finish(static_cast<int64_t>(audio.samples.size())), rate_hz);
}

VadIdentity EnergyVad::identity() const {
  const std::string settings = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {}", options_.floor_percentile, options_.floor_window_s,
      options_.min_floor_db, options_.max_floor_db, options_.on_db, options_.off_db,
      options_.absolute_on_db, options_.absolute_off_db, options_.min_silence_ms,
      options_.min_speech_ms, options_.pad_ms);
  return {"energy", "1", base::Sha256Hex(std::as_bytes(std::span(settings)))};
}

}  // namespace ppx::annotate
