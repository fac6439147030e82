#include "audio/framer.h"

#include "base/error.h"

namespace ppx::audio {

int64_t FrameCount(int64_t samples, int frame_samples) {
  if (samples < 0 || frame_samples < 1) {
    base::ThrowInternal("frames of no length, or a negative number of samples");
  }
  return samples / frame_samples + (samples % frame_samples != 0 ? 1 : 0);
}

std::vector<float> PadToFrames(std::vector<float> samples, int frame_samples) {
  const int64_t frames = FrameCount(static_cast<int64_t>(samples.size()), frame_samples);
  samples.resize(static_cast<size_t>(frames * frame_samples), 0.0F);
  return samples;
}

}  // namespace ppx::audio
