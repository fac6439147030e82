// lib/audio/resampler.h: sample rate conversion (libsamplerate, band-limited sinc, best quality).
#pragma once

#include <cstdint>

#include "base/timeline.h"

namespace ppx::audio {

// ceil(samples * to_hz / from_hz), exact for every length that fits in memory: the shortest output
// that covers the whole time of the input.
int64_t ResampledLength(int64_t samples, int from_hz, int to_hz);

// The same audio at `rate_hz`: output sample k is the input at the time k / rate_hz, without delay,
// everything above half of the lower rate removed. The input is taken as zero before its start and
// after its end. Samples are not clipped: a sound near full scale may overshoot it a little.
//   [N] f32 -> [ResampledLength(N)] f32
// At the same rate the samples come back untouched. Equal calls give equal bits.
// Throws base::Error: kBadInput for a rate below 1 or a ratio outside 1/256 .. 256.
base::Audio Resample(const base::Audio& in, int rate_hz);

}  // namespace ppx::audio
