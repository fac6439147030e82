#include "evaluate/speech_change.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>

#include "annotate/prosody.h"
#include "audio/wav_reader.h"
#include "metrics/channel_stats.h"
#include "metrics/multiple_tests.h"

namespace ppx::evaluate {
namespace {

namespace fs = std::filesystem;
using metrics::Scored;

constexpr std::array kMeasures{"words_per_minute", "pitch_mean_hz", "pitch_sd_hz",
                               "intensity_mean_db", "intensity_sd_db"};
// The benchmark trims with shorter speech and silence than it detects turns with.
constexpr annotate::Vad::Lengths kTrimLengths{60, 50};

Scored OfMaybe(std::optional<double> value, const char* otherwise) {
  return value && std::isfinite(*value) ? Scored::Of(*value) : Scored::Not(otherwise);
}

// The speech between two times, without the silences.
base::Audio Trimmed(const base::Audio& audio, const std::vector<base::Segment>& speech,
                    double from_s, double until_s) {
  base::Audio trimmed{{}, audio.sample_rate_hz};
  const auto at = [&](double time_s) {
    const double sample = std::round(time_s * audio.sample_rate_hz);
    return static_cast<int64_t>(std::clamp(sample, 0.0, static_cast<double>(audio.samples.size())));
  };
  for (const base::Segment& segment : speech) {
    const int64_t first = at(std::max(segment.start_s, from_s));
    const int64_t last = at(std::min(segment.end_s, until_s));
    if (first >= last) continue;
    trimmed.samples.insert(trimmed.samples.end(), audio.samples.begin() + first,
                           audio.samples.begin() + last);
  }
  return trimmed;
}

void AddPart(const std::string& part, const base::Audio& speech, std::span<const base::Chunk> words,
             SpeechChange& change) {
  const annotate::Prosody prosody = annotate::MeasureProsody(speech, 0, speech.duration_s());
  const auto add = [&](size_t measure, const std::optional<double>& value, const char* otherwise) {
    change.values[std::string(kMeasures[measure]) + "_" + part] = OfMaybe(value, otherwise);
  };
  add(0, metrics::WordsPerMinute(words), "no_words");
  add(1, prosody.pitch_mean_hz, "not_voiced");
  add(2, prosody.pitch_sd_hz, "not_voiced");
  add(3, prosody.intensity_mean_db, "silent");
  add(4, prosody.intensity_sd_db, "silent");
}

// The word boundary at or after `end_s`.
double BoundaryAfter(std::span<const base::Chunk> words, double end_s) {
  double boundary_s = std::numeric_limits<double>::infinity();
  for (const base::Chunk& word : words) {
    for (const auto& time_s : {word.start_s, word.end_s}) {
      if (time_s && *time_s >= end_s) boundary_s = std::min(boundary_s, *time_s);
    }
  }
  return std::isfinite(boundary_s) ? boundary_s : end_s;
}

}  // namespace

SpeechChange SpeechChangeOf(const suite::Task& task, const std::string& folder_name,
                            const SampleInputs& inputs, const annotate::Vad& vad) {
  SpeechChange change;
  if (!inputs.words) return change;
  const fs::path folder(folder_name);
  const base::Audio audio =
      audio::ReadAudio((folder / task.files.agent).string(), task.files.agent_channel);
  const auto speech = vad.Detect(audio, kTrimLengths);
  const double boundary_s = BoundaryAfter(*inputs.words, inputs.marks.event->end_s);
  std::vector<base::Chunk> before;
  std::vector<base::Chunk> after;
  for (const base::Chunk& word : *inputs.words) {
    (word.start_s && *word.start_s >= boundary_s ? after : before).push_back(word);
  }
  AddPart("before", Trimmed(audio, speech, 0, boundary_s), before, change);
  AddPart("after", Trimmed(audio, speech, boundary_s, audio.duration_s()), after, change);

  const fs::path clean_audio = folder / task.files.clean_agent;
  const fs::path clean_words = folder / task.files.clean_words;
  std::error_code ignored;
  if (!fs::is_regular_file(clean_audio, ignored) || !fs::is_regular_file(clean_words, ignored)) {
    for (const char* measure : kMeasures) {
      change.values[std::string(measure) + "_clean"] = Scored::Not("no_clean_pair");
    }
    return change;
  }
  const base::Audio clean = audio::ReadAudio(clean_audio.string());
  AddPart("clean", Trimmed(clean, vad.Detect(clean, kTrimLengths), 0, clean.duration_s()),
          annotate::ReadTranscript(clean_words.string()).chunks, change);
  return change;
}

void AddSpeechTests(const std::string& task, std::span<const SpeechChange> samples,
                    metrics::OutlierRule rule, std::vector<report::PairedTestRow>& tests) {
  const auto values = [&](const std::string& name) {
    std::vector<std::optional<double>> list;
    for (const SpeechChange& sample : samples) {
      const auto found = sample.values.find(name);
      list.push_back(found == sample.values.end() ? std::nullopt : found->second.value);
    }
    return list;
  };
  for (const std::string measure : kMeasures) {
    for (const std::string other : {"before", "clean"}) {
      const auto test =
          metrics::PairedT(values(measure + "_" + other), values(measure + "_after"), rule);
      if (test) tests.push_back({task, measure, "after - " + other, *test, std::nullopt});
    }
  }
}

void AdjustForAll(std::vector<report::PairedTestRow>& tests) {
  std::vector<double> p_values;
  for (const report::PairedTestRow& row : tests) {
    if (row.test.p) p_values.push_back(*row.test.p);
  }
  const auto adjusted = metrics::HolmAdjust(p_values);
  size_t next = 0;
  for (report::PairedTestRow& row : tests) {
    if (row.test.p) row.p_holm = adjusted[next++];
  }
}

}  // namespace ppx::evaluate
