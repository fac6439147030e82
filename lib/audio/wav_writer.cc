#include "audio/wav_writer.h"

#include <fmt/format.h>
#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"

namespace ppx::audio {
namespace {

struct SndfileDeleter {
  void operator()(SNDFILE* file) const { sf_close(file); }
};

// A growing file in memory for libsndfile, which comes back to its start to complete the header.
struct MemoryFile {
  std::vector<std::byte> bytes;
  sf_count_t position = 0;
};

MemoryFile& FileOf(void* user) { return *static_cast<MemoryFile*>(user); }

sf_count_t MemoryLength(void* user) { return static_cast<sf_count_t>(FileOf(user).bytes.size()); }

sf_count_t MemorySeek(sf_count_t offset, int whence, void* user) {
  MemoryFile& file = FileOf(user);
  sf_count_t base = 0;
  if (whence == SEEK_CUR) {
    base = file.position;
  } else if (whence == SEEK_END) {
    base = MemoryLength(user);
  }
  if (base + offset < 0) {
    return -1;
  }
  file.position = base + offset;
  return file.position;
}

sf_count_t MemoryRead(void* data, sf_count_t count, void* user) {
  MemoryFile& file = FileOf(user);
  const sf_count_t left = std::max<sf_count_t>(MemoryLength(user) - file.position, 0);
  const sf_count_t got = std::clamp<sf_count_t>(count, 0, left);
  if (got > 0) {
    std::memcpy(data, file.bytes.data() + file.position, static_cast<size_t>(got));
  }
  file.position += got;
  return got;
}

// Called by C code, which no exception may cross: out of memory is a short write.
sf_count_t MemoryWrite(const void* data, sf_count_t count, void* user) {
  MemoryFile& file = FileOf(user);
  if (count <= 0) {
    return 0;
  }
  const auto end = static_cast<size_t>(file.position + count);
  if (end > file.bytes.size()) {
    try {
      file.bytes.resize(end);
    } catch (const std::bad_alloc&) {
      return 0;
    }
  }
  std::memcpy(file.bytes.data() + file.position, data, static_cast<size_t>(count));
  file.position += count;
  return count;
}

sf_count_t MemoryTell(void* user) { return FileOf(user).position; }

void CheckArguments(const std::string& path, const std::vector<std::span<const float>>& channels,
                    int rate_hz) {
  constexpr size_t kMaxChannels = 1024;  // libsndfile's
  if (channels.empty() || channels.size() > kMaxChannels || rate_hz < 1) {
    base::ThrowInternal(fmt::format("{}: cannot be written with {} channels at {} Hz", path,
                                    channels.size(), rate_hz));
  }
  for (const auto& channel : channels) {
    if (channel.size() != channels.front().size()) {
      base::ThrowInternal(fmt::format("{}: channels of {} and {} samples", path,
                                      channels.front().size(), channel.size()));
    }
    for (size_t i = 0; i < channel.size(); ++i) {
      if (!std::isfinite(channel[i])) {
        base::ThrowInternal(
            fmt::format("{}: sample {} to be written is not a finite number", path, i));
      }
    }
  }
}

void CheckSize(const std::string& path, size_t channels, size_t frames, SampleFormat format) {
  constexpr size_t kHeaderBytes = 4096;  // more than any header that is written here
  const size_t frame_bytes = channels * (format == SampleFormat::kPcm16 ? 2 : 4);
  if (frames > (std::numeric_limits<uint32_t>::max() - kHeaderBytes) / frame_bytes) {
    base::ThrowBadInput(fmt::format(
        "{}: {} samples in {} channels do not fit into a WAV file, which ends at 4 GiB; "
        "cut the recording into parts{}",
        path, frames, channels,
        format == SampleFormat::kFloat32 ? " or write 16-bit samples" : ""));
  }
}

std::vector<std::byte> Encode(const std::string& path,
                              const std::vector<std::span<const float>>& channels, int rate_hz,
                              SampleFormat format, WavWriteResult& result) {
  constexpr size_t kHeaderReserve = 256;
  constexpr size_t kBlockFrames = 4096;
  const size_t channel_count = channels.size();
  const size_t frames = channels.front().size();
  const bool pcm16 = format == SampleFormat::kPcm16;

  MemoryFile memory;
  memory.bytes.reserve(frames * channel_count * (pcm16 ? 2 : 4) + kHeaderReserve);
  SF_VIRTUAL_IO io = {MemoryLength, MemorySeek, MemoryRead, MemoryWrite, MemoryTell};
  SF_INFO header = {};
  header.samplerate = rate_hz;
  header.channels = static_cast<int>(channel_count);
  header.format = SF_FORMAT_WAV | (pcm16 ? SF_FORMAT_PCM_16 : SF_FORMAT_FLOAT);
  std::unique_ptr<SNDFILE, SndfileDeleter> file(sf_open_virtual(&io, SFM_WRITE, &header, &memory));
  if (file == nullptr) {
    base::ThrowInternal(fmt::format("{}: libsndfile: {}", path, sf_strerror(nullptr)));
  }
  // The chunk holds the time of writing.
  sf_command(file.get(), SFC_SET_ADD_PEAK_CHUNK, nullptr, SF_FALSE);

  constexpr float kScale = 32768.0F;
  std::vector<float> block_f32(pcm16 ? 0 : kBlockFrames * channel_count);
  std::vector<short> block_i16(pcm16 ? kBlockFrames * channel_count : 0);
  for (size_t start = 0; start < frames; start += kBlockFrames) {
    const size_t count = std::min(kBlockFrames, frames - start);
    for (size_t c = 0; c < channel_count; ++c) {
      for (size_t i = 0; i < count; ++i) {
        const float sample = channels[c][start + i];
        result.peak = std::max(result.peak, std::fabs(sample));
        if (pcm16) {
          const float rounded = std::nearbyint(sample * kScale);
          const float clipped = std::clamp(rounded, -kScale, kScale - 1.0F);
          result.clipped_samples += clipped != rounded ? 1 : 0;
          block_i16[i * channel_count + c] = static_cast<short>(clipped);
        } else {
          block_f32[i * channel_count + c] = sample;
        }
      }
    }
    const auto asked = static_cast<sf_count_t>(count);
    const sf_count_t written = pcm16 ? sf_writef_short(file.get(), block_i16.data(), asked)
                                     : sf_writef_float(file.get(), block_f32.data(), asked);
    if (written != asked) {
      base::ThrowResource(fmt::format("{}: cannot be encoded: {}; is there enough memory?", path,
                                      sf_strerror(file.get())));
    }
  }
  if (sf_close(file.release()) != 0) {
    base::ThrowResource(path + ": cannot be encoded; is there enough memory?");
  }
  return std::move(memory.bytes);
}

}  // namespace

WavWriteResult WriteWav(const std::string& path,
                        const std::vector<std::span<const float>>& channels, int rate_hz,
                        SampleFormat format) {
  if (!channels.empty()) {
    CheckSize(path, channels.size(), channels.front().size(), format);
  }
  CheckArguments(path, channels, rate_hz);
  WavWriteResult result;
  const std::vector<std::byte> bytes = Encode(path, channels, rate_hz, format, result);
  base::WriteFileAtomically(path, bytes);
  return result;
}

}  // namespace ppx::audio
