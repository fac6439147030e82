// lib/base/timeline.h: the plain records that travel along the line
//   wav -> frames -> codes -> step -> codes -> wav + words -> segments -> metrics.
// Times are seconds from the first sample of the file they belong to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ppx::base {

// Mono audio in memory. Samples are nominally in [-1, 1]; nothing clips them before a writer does.
struct Audio {
  std::vector<float> samples;
  int sample_rate_hz = 0;

  double duration_s() const {
    return sample_rate_hz > 0 ? static_cast<double>(samples.size()) / sample_rate_hz : 0.0;
  }
};

// One word and when it is spoken.
struct TimedWord {
  std::string text;  // UTF-8, with the leading space of its first piece if it had one
  double start_s = 0;
  double end_s = 0;  // never before start_s
};

// A word of a transcript that somebody else wrote: its times may be missing or out of order.
struct Chunk {
  std::string text;
  std::optional<double> start_s;
  std::optional<double> end_s;
};

// A stretch of speech.
struct Segment {
  double start_s = 0;
  double end_s = 0;
};

}  // namespace ppx::base
