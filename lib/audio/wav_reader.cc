#include "audio/wav_reader.h"

#include <fmt/format.h>
#include <sndfile.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace ppx::audio {
namespace {

namespace fs = std::filesystem;

struct SndfileDeleter {
  void operator()(SNDFILE* file) const { sf_close(file); }
};

// libsndfile's text without line breaks and the full stop at its end.
std::string SndfileText(SNDFILE* file) {
  std::string text = sf_strerror(file);
  text = text.substr(0, text.find_first_of("\r\n"));
  while (text.ends_with('.') || text.ends_with(' ')) {
    text.pop_back();
  }
  return text;
}

std::string FormatPart(int format) {
  SF_FORMAT_INFO part = {};
  part.format = format;
  if (sf_command(nullptr, SFC_GET_FORMAT_INFO, &part, sizeof(part)) != 0 || part.name == nullptr) {
    return "unknown";
  }
  return part.name;
}

// What libsndfile would tell less clearly, and FIFOs, on whose opening it would wait.
int64_t CheckedFileSize(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    base::ThrowBadInput(path + ": no such file; check the path");
  }
  if (error) {
    base::ThrowBadInput(fmt::format("{}: cannot read: {}; check the path and its permissions", path,
                                    error.message()));
  }
  if (fs::is_directory(status)) {
    base::ThrowBadInput(path + ": is a folder; name a sound file in it");
  }
  if (!fs::is_regular_file(status)) {
    base::ThrowBadInput(path + ": is no regular file; save the sound to a file first");
  }
  const auto size = fs::file_size(path, error);
  if (error) {
    base::ThrowBadInput(fmt::format("{}: cannot read: {}", path, error.message()));
  }
  if (size == 0) {
    base::ThrowBadInput(path + ": is empty; it should be a sound file");
  }
  return static_cast<int64_t>(size);
}

}  // namespace

base::Audio ReadAudio(const std::string& path, int channel, AudioInfo* info) {
  const int64_t file_bytes = CheckedFileSize(path);
  SF_INFO header = {};
  const std::unique_ptr<SNDFILE, SndfileDeleter> file(sf_open(path.c_str(), SFM_READ, &header));
  if (file == nullptr) {
    const int code = sf_error(nullptr);
    if (code == SF_ERR_SYSTEM) {
      base::ThrowBadInput(path + ": cannot be opened; check its permissions");
    }
    base::ThrowBadInput(
        fmt::format("{}: no sound file that can be read: {}; convert it to WAV, for example with "
                    "ffmpeg -i INPUT OUTPUT.wav",
                    path, SndfileText(nullptr)));
  }
  // libsndfile takes some extensions (.gsm, .vox) for a format, whatever the file holds.
  if ((header.format & SF_FORMAT_TYPEMASK) == SF_FORMAT_RAW) {
    base::ThrowBadInput(path +
                        ": has no header that tells its format and rate; convert it to WAV first");
  }
  if (channel < 0 || channel >= header.channels) {
    base::ThrowBadInput(
        header.channels == 1
            ? fmt::format("{}: has no channel {}; it has 1 channel, use --channel 0", path, channel)
            : fmt::format("{}: has no channel {}; it has {} channels, use --channel "
                          "with 0 to {}",
                          path, channel, header.channels, header.channels - 1));
  }
  if (header.samplerate < kMinSampleRateHz || header.samplerate > kMaxSampleRateHz) {
    base::ThrowBadInput(
        fmt::format("{}: its header says {} Hz; sample rates from {} to {} Hz can be read", path,
                    header.samplerate, kMinSampleRateHz, kMaxSampleRateHz));
  }
  // Some formats do not know their length before they are read to the end.
  const bool length_known = header.frames != SF_COUNT_MAX;
  const auto check_length = [&](int64_t samples) {
    if (samples > kMaxReadSamples) {
      base::ThrowBadInput(fmt::format("{}: is too long; cut it into parts of at most {} samples",
                                      path, kMaxReadSamples));
    }
  };
  if (length_known) {
    check_length(header.frames);
  }

  base::Audio audio;
  audio.sample_rate_hz = header.samplerate;
  // The header may lie about the length, the file's size does not: one byte holds a sample or more
  // in compressed formats only, and then the vector grows.
  if (length_known) {
    audio.samples.reserve(
        static_cast<size_t>(std::min(std::max<int64_t>(header.frames, 0), file_bytes)));
  }
  constexpr int64_t kBlockSamples = 1 << 16;
  const int64_t block_frames = std::max<int64_t>(kBlockSamples / header.channels, 1);
  const auto channels = static_cast<size_t>(header.channels);
  std::vector<float> block(static_cast<size_t>(block_frames) * channels);
  for (;;) {
    const sf_count_t got = sf_readf_float(file.get(), block.data(), block_frames);
    if (got <= 0) {
      break;
    }
    check_length(static_cast<int64_t>(audio.samples.size()) + got);
    for (size_t frame = 0; frame < static_cast<size_t>(got); ++frame) {
      const float sample = block[frame * channels + static_cast<size_t>(channel)];
      if (!std::isfinite(sample)) {
        base::ThrowBadInput(
            fmt::format("{}: the sample at {:.6f} s of channel {} is not a finite "
                        "number; write the file again",
                        path, audio.duration_s(), channel));
      }
      audio.samples.push_back(sample);
    }
  }
  if (sf_error(file.get()) != SF_ERR_NO_ERROR) {
    base::ThrowBadInput(fmt::format("{}: is damaged after {:.3f} s: {}", path, audio.duration_s(),
                                    SndfileText(file.get())));
  }
  if (audio.samples.empty()) {
    base::ThrowBadInput(path +
                        ": has no samples; is the recording finished and was it copied whole?");
  }
  const bool is_flac = (header.format & SF_FORMAT_TYPEMASK) == SF_FORMAT_FLAC;
  const auto frames = static_cast<int64_t>(audio.samples.size());
  if (is_flac && length_known && frames < header.frames) {
    base::ThrowBadInput(fmt::format("{}: is damaged: {} of {} samples can be read; copy it again",
                                    path, frames, header.frames));
  }
  if (info != nullptr) {
    info->sample_rate_hz = header.samplerate;
    info->channels = header.channels;
    info->frames = frames;
    info->format = FormatPart(header.format & SF_FORMAT_TYPEMASK) + ", " +
                   FormatPart(header.format & SF_FORMAT_SUBMASK);
  }
  return audio;
}

}  // namespace ppx::audio
