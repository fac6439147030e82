// lib/annotate/prosody.h: pitch and intensity of speech.
//
// Pitch after P. Boersma, "Accurate short-term analysis of the fundamental frequency and the
// harmonics-to-noise ratio of a sampled sound", IFA Proceedings 17 (1993): the autocorrelation of a
// Hann window of three periods of the pitch floor, divided by the window's own autocorrelation; its
// maxima are the candidates of a frame, "unvoiced" is one more; the cheapest path through all
// frames is the pitch. The constants are the paper's and Praat's defaults. A difference to the
// paper: the spectrum above 5 kHz is left out, and the autocorrelation is computed on a raster of
// 25 microseconds or finer, whatever the sample rate, which takes the place of its sin(x)/x
// interpolation; a parabola goes through the three points around a maximum.
//
// Intensity as Praat's "To Intensity" gives it for a pitch of 100 Hz: the mean square of a frame of
// 64 ms under a Kaiser window (beta = 2 pi^2 + 0.5), less the frame's mean, in dB re 2e-5, a sample
// being taken as one pascal. Frames of digital silence have no intensity and are left out.
//
// Frames come every 10 ms and lie wholly within what is measured; they are centred in it.
//
// Not done: formants, voice quality, creak; another speaker in the same channel is not told apart.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/timeline.h"

namespace ppx::annotate {

struct PitchOptions {
  double floor_hz = 50.0;
  double ceiling_hz = 600.0;
  double voicing_threshold = 0.45;  // autocorrelation under which a frame is rather unvoiced
  double silence_threshold = 0.03;  // peak, relative to the loudest, under which it is too
  double octave_cost = 0.01;        // per octave below the ceiling: prefers the shorter period
  double octave_jump_cost = 0.35;   // per octave between neighbouring frames
  double voiced_unvoiced_cost = 0.14;
  int max_candidates = 15;  // of a frame, "unvoiced" being one
};

inline constexpr double kProsodyStepS = 0.01;

// A value every kProsodyStepS.
struct PitchTrack {
  double first_s = 0;                     // middle of the first frame
  std::vector<std::optional<double>> hz;  // no value where unvoiced
};

// samples [N] f32, finite. A track without frames where they are shorter than a frame, 3 /
// floor_hz. Throws base::Error: kBadInput for a rate of less than 4 * ceiling_hz, kInternal for
// options that contradict each other.
PitchTrack TrackPitch(std::span<const float> samples, int rate_hz,
                      const PitchOptions& options = {});

// dB of the frames that have any; empty where the samples are shorter than a frame of 64 ms.
std::vector<double> IntensityDb(std::span<const float> samples, int rate_hz);

struct Prosody {
  int frames = 0;  // that pitch was looked for in
  int voiced_frames = 0;
  // Over the voiced frames; no value without one. Standard deviations are the population's (n).
  std::optional<double> pitch_mean_hz;
  std::optional<double> pitch_sd_hz;
  // Over the frames that have an intensity, of the values in dB; no value without one.
  std::optional<double> intensity_mean_db;
  std::optional<double> intensity_sd_db;
};

// Of the audio from `start_s` to `end_s` alone, as if it were a file of its own; what lies outside
// the audio is left out, and an empty range has no values. Throws as TrackPitch does.
Prosody MeasureProsody(const base::Audio& audio, double start_s, double end_s,
                       const PitchOptions& options = {});

}  // namespace ppx::annotate
