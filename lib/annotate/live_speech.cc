#include "annotate/live_speech.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace ppx::annotate {
namespace {

constexpr double kStepS = 0.01;
constexpr int64_t kStepMs = 10;

int64_t StepSamples(int rate_hz) {
  if (rate_hz < LiveSpeech::kMinRateHz) {
    base::ThrowBadInput(
        fmt::format("audio at {} Hz: speech is looked for at {} Hz and more; resample it first",
                    rate_hz, LiveSpeech::kMinRateHz));
  }
  return std::lround(kStepS * rate_hz);
}

}  // namespace

LiveSpeech::LiveSpeech(int rate_hz, const LiveSpeechOptions& options)
    : options_(options), step_(StepSamples(rate_hz)) {
  const bool floors = options.floor_percentile >= 0 && options.floor_percentile <= 1 &&
                      options.floor_window_s >= kStepS &&
                      options.min_floor_db <= options.max_floor_db && options.learn_s >= 0;
  const bool thresholds = options.off_db >= 0 && options.off_db <= options.on_db &&
                          options.absolute_off_db <= options.absolute_on_db;
  const bool times = options.min_silence_ms >= kStepMs && options.min_speech_ms >= kStepMs &&
                     options.max_dip_ms >= 0;
  if (!floors || !thresholds || !times) {
    base::ThrowUsage(
        "the settings for hearing speech contradict each other: lower bounds and off-thresholds "
        "must not be above upper bounds and on-thresholds, shortest speech and silence not below "
        "10 ms");
  }
}

std::vector<SpeechChange> LiveSpeech::Push(std::span<const float> samples) {
  std::vector<SpeechChange> changes;
  for (const float sample : samples) {
    const double value = std::isfinite(sample) ? static_cast<double>(sample) : 0.0;
    now_.sum += value;
    now_.square += value * value;
    ++now_.count;
    ++samples_;
    if (now_.count < step_) continue;
    if (const auto change = EndStep()) changes.push_back(*change);
  }
  return changes;
}

std::optional<SpeechChange> LiveSpeech::EndStep() {
  const auto count = static_cast<double>(now_.count + before_.count);
  const double mean = (now_.sum + before_.sum) / count;
  const double mean_square = (now_.square + before_.square) / count;
  // The difference of two equal numbers leaves rounding errors, which are no sound.
  constexpr double kRounding = 1e-12;
  const double centred = mean_square - mean * mean;
  const double level_db = centred > kRounding * mean_square ? LevelDb(centred) : kSilentDb;
  before_ = now_;
  now_ = {};

  double on_db = options_.absolute_on_db;
  double off_db = options_.absolute_off_db;
  if (options_.adaptive) {
    levels_.Add(level_db);
    window_.push_back(level_db);
    if (static_cast<double>(window_.size()) * kStepS > options_.floor_window_s) {
      levels_.Remove(window_.front());
      window_.pop_front();
    }
    const double floor_db = Floor();
    on_db = std::max(on_db, floor_db + options_.on_db);
    off_db = std::max(off_db, floor_db + options_.off_db);
  }
  loud_ = level_db >= on_db || (loud_ && level_db >= off_db);
  return Follow(loud_);
}

double LiveSpeech::Floor() {
  const bool learning = static_cast<double>(levels_.count()) * kStepS < options_.learn_s;
  const double floor_db =
      std::clamp(levels_.Percentile(options_.floor_percentile, options_.min_floor_db),
                 options_.min_floor_db, options_.max_floor_db);
  return learning ? std::min(floor_db, options_.first_floor_db) : floor_db;
}

std::optional<SpeechChange> LiveSpeech::Follow(bool loud) {
  const int64_t begin = samples_ - step_;
  const auto ms_since = [&](int64_t sample) { return (samples_ - sample) / step_ * kStepMs; };
  if (loud) {
    quiet_.reset();
    if (!speaking_ && !start_) start_ = begin;
  } else if ((speaking_ || start_) && !quiet_) {
    quiet_ = begin;
  }
  if (speaking_) {
    if (!quiet_ || ms_since(*quiet_) < options_.min_silence_ms) return std::nullopt;
    const SpeechChange change{false, *quiet_, samples_};
    speaking_ = false;
    quiet_.reset();
    return change;
  }
  if (!start_) return std::nullopt;
  if (quiet_ && ms_since(*quiet_) > options_.max_dip_ms) {
    start_.reset();
    quiet_.reset();
    return std::nullopt;
  }
  if (quiet_ || ms_since(*start_) < options_.min_speech_ms) return std::nullopt;
  const SpeechChange change{true, *start_, samples_};
  speaking_ = true;
  start_.reset();
  return change;
}

}  // namespace ppx::annotate
