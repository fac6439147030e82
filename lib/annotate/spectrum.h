// lib/annotate/spectrum.h: whether audio sounds like noise, and whether it clips.
//
// Spectral flatness (also Wiener entropy): the geometric over the arithmetic mean of a frame's
// power spectrum, from 100 Hz to 8 kHz or half the sample rate if that is lower; 1 for a flat
// spectrum, 0 for one with a hole. Frames of 32 ms under a Hann window, every 16 ms. White noise
// has about 0.56 (the bins of one frame scatter), voiced speech less than 0.1; fricatives rise
// above 0.3 for moments, not for seconds.
//
// Not done: noise that is not flat (hum, rumble, coloured or band-limited noise). Audio that was
// brought here from a lower sample rate has an empty upper band, which hides noise below it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/timeline.h"

namespace ppx::annotate {

inline constexpr double kFlatnessFrameS = 0.032;
inline constexpr double kFlatnessStepS = 0.016;

// A frame whose RMS, less its mean, is below this (dB re full scale) is silence: nobody hears
// whether dither or the noise of a recorder is flat.
inline constexpr double kFlatnessSilenceDb = -60.0;

// One value a frame; no value for silence. Frame i begins at i * kFlatnessStepS; frames lie wholly
// within the audio. Samples are finite. Throws base::Error (kBadInput) for a rate below 1000 Hz.
std::vector<std::optional<double>> FlatnessTrack(const base::Audio& audio,
                                                 double silence_db = kFlatnessSilenceDb);

// The longest stretch of frames, all with a flatness above `flatness`, from the start of its first
// to the end of its last, in seconds; 0 without one. Silence ends a stretch. Throws as above.
double LongestFlatStretch(const base::Audio& audio, double flatness,
                          double silence_db = kFlatnessSilenceDb);

// Samples at or beyond full scale, which for a file of 16 bits is 32767 / 32768.
int64_t ClippedSamples(std::span<const float> samples);

}  // namespace ppx::annotate
