// lib/evaluate/selftest.h: how exact is a speech detector? Scenes whose onsets and offsets are
// known to the sample, and what the detector makes of them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "annotate/vad.h"
#include "base/timeline.h"

namespace ppx::evaluate {

struct Scene {
  std::string name;  // "vowels at -20 dB, noise at -60 dB"
  base::Audio audio;
  std::vector<base::Segment> speech;  // exact
};

// Voiced sound with formants that move, in bursts of 0.6 to 2 s, at several levels over several
// levels of noise, at 16 and 24 kHz; the same scenes every time. Synthetic voices are not speech:
// what is measured here is the raster and the bias of a detector, not how well it knows speech.
std::vector<Scene> SyntheticScenes();

struct DetectorError {
  int64_t expected = 0;  // segments of the scenes
  int64_t found = 0;     // of them, those that a detected segment overlaps
  int64_t extra = 0;     // detected segments that overlap none
  // Detected - true, seconds, over the segments that were found; no value for none.
  std::optional<double> onset_bias_s, onset_sd_s, onset_worst_s;
  std::optional<double> offset_bias_s, offset_sd_s, offset_worst_s;
};

// Of the scenes above; the same detector is measured once a cache (`cache_folder`: empty for none).
DetectorError DetectorErrorOf(const annotate::Vad& vad, const std::string& cache_folder);

nlohmann::json ToJson(const DetectorError& error);

DetectorError MeasureDetector(const annotate::Vad& vad, const std::vector<Scene>& scenes);

}  // namespace ppx::evaluate
