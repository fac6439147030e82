// lib/audio/wav_writer.h: WAV files from float samples.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ppx::audio {

enum class SampleFormat {
  kPcm16,   // round(x * 32768), ties to even, clipped to [-32768, 32767]
  kFloat32  // as it is, also beyond [-1, 1]
};

struct WavWriteResult {
  int64_t clipped_samples = 0;  // over all channels; always 0 for kFloat32
  float peak = 0.0F;            // largest magnitude before clipping
};

// Writes `channels` (each [N] f32, all of equal length, 1 to 1024 of them) interleaved to `path`,
// through base::AtomicFile: `path` may also be a link, a device, a FIFO or /dev/stdout. Equal calls
// write equal bytes. A 16-bit file that was read and is written back keeps every sample. The
// encoded file is held in memory until it is written.
//
// Throws base::Error: what AtomicFile throws; kBadInput if the file would be larger than the 4 GiB
// of the WAV format; kInternal for no channels, unequal lengths, a rate below 1 or a sample that is
// not finite.
WavWriteResult WriteWav(const std::string& path,
                        const std::vector<std::span<const float>>& channels, int rate_hz,
                        SampleFormat format);

}  // namespace ppx::audio
