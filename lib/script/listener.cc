#include "script/listener.h"

#include <algorithm>
#include <cmath>

#include "script/words.h"

namespace ppx::script {
namespace {

// A threshold of its own leaves the hysteresis that the adaptive ones have.
constexpr double kHysteresisDb = 5;

annotate::LiveSpeechOptions OptionsOf(const HearingSpec& hearing) {
  annotate::LiveSpeechOptions options;
  options.min_speech_ms = std::llround(hearing.min_speech_s * 1000);
  options.min_silence_ms = std::llround(hearing.min_silence_s * 1000);
  if (hearing.threshold_db) {
    options.adaptive = false;
    options.absolute_on_db = *hearing.threshold_db;
    options.absolute_off_db = *hearing.threshold_db - kHysteresisDb;
  }
  return options;
}

}  // namespace

Listener::Listener(int sample_rate_hz, const HearingSpec& hearing)
    : detector_(sample_rate_hz, OptionsOf(hearing)) {}

std::vector<annotate::SpeechChange> Listener::Hear(std::span<const float> pcm,
                                                   std::span<const base::TimedWord> words) {
  auto changes = detector_.Push(pcm);
  for (const annotate::SpeechChange& change : changes) {
    (change.speech ? started_ : stopped_) = change;
  }
  for (const base::TimedWord& word : words) {
    for (std::string& text : NormalWords(word.text)) {
      words_.push_back({std::move(text), detector_.samples()});
    }
  }
  return changes;
}

std::optional<int64_t> Listener::SpeakingSince() const {
  return detector_.speaking() ? std::optional(started_.at_sample) : std::nullopt;
}

std::optional<int64_t> Listener::SilentSince() const {
  return detector_.speaking() ? std::nullopt : std::optional(stopped_.at_sample);
}

bool Listener::SaidAfter(int64_t moment, std::span<const std::vector<std::string>> phrases) const {
  const auto first = std::partition_point(words_.begin(), words_.end(),
                                          [&](const Word& word) { return word.known <= moment; });
  const auto same = [](const Word& word, const std::string& text) { return word.text == text; };
  return std::any_of(phrases.begin(), phrases.end(), [&](const std::vector<std::string>& phrase) {
    return std::search(first, words_.end(), phrase.begin(), phrase.end(), same) != words_.end();
  });
}

}  // namespace ppx::script
