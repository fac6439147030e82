// lib/evaluate/audio_facts.h: everything the scorers need to know about one channel of one file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "annotate/vad.h"
#include "base/timeline.h"
#include "evaluate/json_cache.h"

namespace ppx::evaluate {

struct AudioFacts {
  int rate_hz = 0;
  int64_t samples = 0;
  std::vector<base::Segment> speech;  // seconds, not rounded
  // Speech as FullDuplexBench v1.0 finds it for backchannels: the detector is told that the samples
  // are at 16 kHz whatever their rate, so a file at 24 kHz lies on an axis 1.5 times too long;
  // times rounded to 0.1 s, ends capped at the length on that axis.
  std::vector<base::Segment> benchmark_speech;
  std::optional<double> loudness_lufs;  // finite; no value for silence and under 0.4 s
  int64_t clipped_samples = 0;          // at or beyond full scale
  double noise_like_s = 0;              // longest stretch with a spectral flatness over 0.3
  double repeated_frames = 0;           // longest run of 80 ms frames that sound the same

  double duration_s() const { return static_cast<double>(samples) / rate_hz; }
};

// Reads, detects, measures; keeps what it found in a cache by the file's content, so that the
// second time only a hash is computed. Thread-safe.
class AudioAnalyst {
 public:
  // `cache_folder`: empty for none. It is made when first needed.
  AudioAnalyst(const annotate::Vad& vad, const std::string& cache_folder);

  // `benchmark`: benchmark_speech is wanted. Throws base::Error (kBadInput) as audio::ReadAudio
  // does.
  AudioFacts Analyse(const std::string& path, int channel, bool benchmark = false) const;

 private:
  AudioFacts Measure(const std::string& path, int channel, bool benchmark) const;

  const annotate::Vad& vad_;
  JsonCache cache_;
  std::string identity_;
};

}  // namespace ppx::evaluate
