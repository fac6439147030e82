#include "audio/wav_writer.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "audio/wav_reader.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::audio {
namespace {

using testing::ErrorOf;
using testing::ReadFile;
using testing::TempDir;

TEST_CASE("all 65536 values of 16-bit samples survive reading and writing") {
  const TempDir dir;
  std::vector<float> samples;
  for (int value = -32768; value <= 32767; ++value) {
    samples.push_back(static_cast<float>(value) / 32768.0F);
  }
  const WavWriteResult result = WriteWav(dir.File("a.wav"), {samples}, 24000, SampleFormat::kPcm16);
  CHECK(result.clipped_samples == 0);
  CHECK(result.peak == 1.0F);
  AudioInfo info;
  const base::Audio back = ReadAudio(dir.File("a.wav"), 0, &info);
  CHECK(back.samples == samples);
  CHECK(info.format == "WAV (Microsoft), Signed 16 bit PCM");
  CHECK(info.channels == 1);
  WriteWav(dir.File("b.wav"), {back.samples}, back.sample_rate_hz, SampleFormat::kPcm16);
  CHECK(ReadFile(dir.File("b.wav")) == ReadFile(dir.File("a.wav")));
  CHECK(dir.CountEntries() == 2);
}

TEST_CASE("a recording made elsewhere keeps its sample bytes") {
  const TempDir dir;
  const std::string path = PPX_SOURCE_DIR "/tests/golden/tiny/voice.wav";
  const base::Audio voice = ReadAudio(path);
  WriteWav(dir.File("copy.wav"), {voice.samples}, voice.sample_rate_hz, SampleFormat::kPcm16);
  const size_t data_bytes = voice.samples.size() * 2;
  const std::string original = ReadFile(path);
  const std::string copy = ReadFile(dir.File("copy.wav"));
  CHECK(copy.size() == 44 + data_bytes);
  CHECK(copy.substr(copy.size() - data_bytes) == original.substr(original.size() - data_bytes));
}

TEST_CASE("16-bit: rounded to nearest, clipped and counted") {
  const TempDir dir;
  const float unit = 1.0F / 32768.0F;
  const std::vector<float> samples = {
      0.49F * unit, 0.51F * unit, -0.51F * unit, 1.5F * unit,     2.5F * unit,    1.0F, -1.0F, 1.5F,
      -1.5F,        3e38F,        -1.0F - unit,  32767.4F * unit, 32767.5F * unit};
  const WavWriteResult result = WriteWav(dir.File("a.wav"), {samples}, 24000, SampleFormat::kPcm16);
  CHECK(result.clipped_samples == 6);
  CHECK(result.peak == 3e38F);
  std::vector<float> values = ReadAudio(dir.File("a.wav")).samples;
  for (float& value : values) {
    value *= 32768.0F;
  }
  CHECK(values == std::vector<float>{0, 1, -1, 2, 2, 32767, -32768, 32767, -32768, 32767, -32768,
                                     32767, 32767});
}

TEST_CASE("float: as it is, and the same bytes whenever it is written") {
  const TempDir dir;
  const std::vector<float> samples = {0.1F, -3.5F, 1e-30F, 1.0F, -0.0F};
  const WavWriteResult result =
      WriteWav(dir.File("a.wav"), {samples}, 48000, SampleFormat::kFloat32);
  CHECK(result.clipped_samples == 0);
  CHECK(result.peak == 3.5F);
  AudioInfo info;
  CHECK(ReadAudio(dir.File("a.wav"), 0, &info).samples == samples);
  CHECK(info.format == "WAV (Microsoft), 32 bit float");
  CHECK(info.sample_rate_hz == 48000);
  CHECK(ReadFile(dir.File("a.wav")).find("PEAK") == std::string::npos);
}

TEST_CASE("channels are interleaved, over several blocks") {
  const TempDir dir;
  std::vector<float> left;
  std::vector<float> right;
  for (int i = 0; i < 10001; ++i) {
    left.push_back(static_cast<float>(i) / 32768.0F);
    right.push_back(static_cast<float>(-i) / 32768.0F);
  }
  for (const SampleFormat format : {SampleFormat::kPcm16, SampleFormat::kFloat32}) {
    WriteWav(dir.File("a.wav"), {left, right}, 24000, format);
    AudioInfo info;
    CHECK(ReadAudio(dir.File("a.wav"), 0, &info).samples == left);
    CHECK(ReadAudio(dir.File("a.wav"), 1).samples == right);
    CHECK(info.channels == 2);
    CHECK(info.frames == 10001);
  }
}

TEST_CASE("no samples: a valid file of a header alone") {
  const TempDir dir;
  const WavWriteResult result =
      WriteWav(dir.File("a.wav"), {std::span<const float>()}, 24000, SampleFormat::kPcm16);
  CHECK(result.peak == 0.0F);
  CHECK(ReadFile(dir.File("a.wav")).size() == 44);
  CHECK(ErrorOf([&] { ReadAudio(dir.File("a.wav")); }).Mentions("no samples"));
}

TEST_CASE("larger than 4 GiB is refused before anything is written") {
  const TempDir dir;
  const std::vector<float> samples(1100000, 0.0F);
  const std::vector<std::span<const float>> channels(1000, samples);
  const auto thrown =
      ErrorOf([&] { WriteWav(dir.File("a.wav"), channels, 24000, SampleFormat::kFloat32); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.Mentions("16-bit"));
  CHECK(thrown.Mentions(dir.File("a.wav")));
  CHECK(dir.CountEntries() == 0);
}

TEST_CASE("errors leave nothing behind") {
  const TempDir dir;
  const std::vector<float> one = {0.5F};
  const std::vector<float> two = {0.5F, 0.5F};
  const std::string path = dir.File("a.wav");
  const auto code_of = [&](const std::vector<std::span<const float>>& channels, int rate_hz) {
    return ErrorOf([&] { WriteWav(path, channels, rate_hz, SampleFormat::kPcm16); }).code;
  };
  CHECK(code_of({}, 24000) == base::ErrorCode::kInternal);
  CHECK(code_of({one, two}, 24000) == base::ErrorCode::kInternal);
  CHECK(code_of({one}, 0) == base::ErrorCode::kInternal);
  CHECK(code_of(std::vector<std::span<const float>>(1025, one), 24000) ==
        base::ErrorCode::kInternal);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> samples = {0.0F, bad};
    CHECK(code_of({samples}, 24000) == base::ErrorCode::kInternal);
  }
  CHECK(dir.CountEntries() == 0);

  const auto full = ErrorOf([&] { WriteWav("/dev/full", {one}, 24000, SampleFormat::kPcm16); });
  CHECK(full.code == base::ErrorCode::kResource);
  CHECK(full.Mentions("/dev/full"));
  CHECK(ErrorOf([&] { WriteWav(dir.File("no/a.wav"), {one}, 24000, SampleFormat::kPcm16); }).code ==
        base::ErrorCode::kUsage);
}

}  // namespace
}  // namespace ppx::audio
