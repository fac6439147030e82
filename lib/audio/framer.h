// lib/audio/framer.h: cutting audio into the model's frames of equal length.
#pragma once

#include <cstdint>
#include <vector>

namespace ppx::audio {

// Frames that hold `samples` samples: the last one may be partial, a full one is not followed by an
// empty one, and no samples are no frames.
// Throws base::Error (kInternal) for a negative `samples` or a `frame_samples` below 1.
int64_t FrameCount(int64_t samples, int frame_samples);

// `samples` with zeros appended up to a whole number of frames.
// [N] f32 -> [FrameCount(N, frame_samples) * frame_samples] f32
std::vector<float> PadToFrames(std::vector<float> samples, int frame_samples);

}  // namespace ppx::audio
