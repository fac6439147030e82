// lib/audio/wav_reader.h: one channel of a sound file, as float samples at the file's own rate.
//
// Reads what libsndfile reads: WAV with 8, 16, 24 or 32 bits or float samples, RF64, AIFF, FLAC,
// Ogg Vorbis and Opus, MP3 and more.
//
// Not done: resampling, mixing channels, pipes, files without a header.
#pragma once

#include <cstdint>
#include <string>

#include "base/timeline.h"

namespace ppx::audio {

struct AudioInfo {
  int sample_rate_hz = 0;
  int channels = 0;
  int64_t frames = 0;  // samples of one channel that were read, whatever the header says
  std::string format;  // "WAV (Microsoft), Signed 16 bit PCM"
};

// The longest recording that is read: 24 hours at 48 kHz.
inline constexpr int64_t kMaxReadSamples = int64_t{24} * 3600 * 48000;
inline constexpr int kMinSampleRateHz = 1000;
inline constexpr int kMaxSampleRateHz = 768000;

// Channel `channel` (from 0) of the file. Integer samples of b bits are divided by 2^(b-1), so
// 16-bit ones by 32768; float samples come as they are, also beyond [-1, 1].
//
// A WAV that ends before the length in its header gives the samples that are there; a FLAC file
// that does so counts as damaged.
//
// `info`, if not null, receives the facts above.
//
// Throws base::Error (kBadInput), one line naming `path` and how to mend it: missing, not a file,
// unreadable, no sound file, damaged, no samples, no such channel, a sample that is not finite
// (with its time), a rate outside kMinSampleRateHz .. kMaxSampleRateHz, longer than
// kMaxReadSamples.
base::Audio ReadAudio(const std::string& path, int channel = 0, AudioInfo* info = nullptr);

}  // namespace ppx::audio
