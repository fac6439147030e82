#include "audio/wav_reader.h"

#include <sndfile.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

// libsndfile 1.2.0 keeps what libvorbis allocated when it refuses a damaged Ogg file.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libvorbis\n"; }

namespace ppx::audio {
namespace {

using testing::ErrorOf;
using testing::TempDir;
using testing::WriteFile;

// Interleaved 32-bit integers, of which the format keeps the upper bits.
void WriteInts(const std::string& path, int format, int rate_hz, int channels,
               const std::vector<int>& samples) {
  SF_INFO header = {};
  header.format = format;
  header.samplerate = rate_hz;
  header.channels = channels;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &header);
  REQUIRE(file != nullptr);
  sf_command(file, SFC_SET_SCALE_INT_FLOAT_WRITE, nullptr, SF_TRUE);
  const auto count = static_cast<sf_count_t>(samples.size());
  REQUIRE(sf_write_int(file, samples.data(), count) == count);
  REQUIRE(sf_close(file) == 0);
}

std::string LittleEndian(uint32_t value, size_t bytes) {
  std::string text;
  for (size_t i = 0; i < bytes; ++i) {
    text += static_cast<char>((value >> (8 * i)) & 0xffU);
  }
  return text;
}

// A WAV file put together by hand, so that its header can say anything.
struct RawWav {
  uint32_t format_tag = 1;
  uint32_t channels = 1;
  uint32_t rate_hz = 24000;
  uint32_t bits = 16;
  std::string data;
  uint32_t data_length_said = 0;  // 0: the truth

  std::string Bytes() const {
    const uint32_t frame_bytes = channels * bits / 8;
    const auto length =
        data_length_said != 0 ? data_length_said : static_cast<uint32_t>(data.size());
    return "RIFF" + LittleEndian(36 + length, 4) + "WAVEfmt " + LittleEndian(16, 4) +
           LittleEndian(format_tag, 2) + LittleEndian(channels, 2) + LittleEndian(rate_hz, 4) +
           LittleEndian(rate_hz * frame_bytes, 4) + LittleEndian(frame_bytes, 2) +
           LittleEndian(bits, 2) + "data" + LittleEndian(length, 4) + data;
  }
};

std::string FloatData(const std::vector<float>& samples) {
  std::string bytes(samples.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), samples.data(), bytes.size());
  return bytes;
}

void CheckBadInput(const std::string& path, const std::string& mention, int channel = 0) {
  CAPTURE(path);
  const auto thrown = ErrorOf([&] { ReadAudio(path, channel); });
  CAPTURE(thrown.message);
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.message.starts_with(path + ": "));
  CHECK(thrown.Mentions(mention));
  CHECK(!thrown.Mentions("\n"));
}

TEST_CASE("16-bit samples are divided by 32768") {
  const TempDir dir;
  const std::string path = dir.File("a.wav");
  WriteFile(path, RawWav{.data = LittleEndian(0x8000, 2) + LittleEndian(0x7fff, 2) +
                                 LittleEndian(0xffff, 2) + LittleEndian(1, 2) + LittleEndian(0, 2)}
                      .Bytes());
  AudioInfo info;
  const base::Audio audio = ReadAudio(path, 0, &info);
  CHECK(audio.samples ==
        std::vector<float>{-1.0F, 32767.0F / 32768, -1.0F / 32768, 1.0F / 32768, 0});
  CHECK(audio.sample_rate_hz == 24000);
  CHECK(info.sample_rate_hz == 24000);
  CHECK(info.channels == 1);
  CHECK(info.frames == 5);
  CHECK(info.format == "WAV (Microsoft), Signed 16 bit PCM");
}

TEST_CASE("the golden recordings") {
  AudioInfo info;
  const base::Audio voice = ReadAudio(PPX_SOURCE_DIR "/tests/golden/tiny/voice.wav", 0, &info);
  CHECK(voice.samples.size() == 36500);
  CHECK(info.channels == 1);
  CHECK(voice.sample_rate_hz == 24000);
}

TEST_CASE("every lossless width and container gives the same samples") {
  const TempDir dir;
  struct Case {
    std::string name;
    int format;
    int bits;
  };
  const Case cases[] = {
      {"u8.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 8},
      {"s16.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16},
      {"s24.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_24, 24},
      {"s32.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_32, 32},
      {"f32.wav", SF_FORMAT_WAV | SF_FORMAT_FLOAT, 24},
      {"f64.wav", SF_FORMAT_WAV | SF_FORMAT_DOUBLE, 32},
      {"x.wav", SF_FORMAT_WAVEX | SF_FORMAT_PCM_16, 16},
      {"x.rf64", SF_FORMAT_RF64 | SF_FORMAT_PCM_16, 16},
      {"s16.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 16},
      {"s24.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_24, 24},
      {"s16.aiff", SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 16},
      {"misnamed.mp3", SF_FORMAT_WAV | SF_FORMAT_PCM_16, 16},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const double unit = std::ldexp(1.0, 31);
    const uint32_t mask = ~((uint32_t{1} << (32 - c.bits)) - 1U);
    std::vector<int> ints;
    std::vector<float> expected;
    uint32_t state = 7;
    for (int i = 0; i < 5000; ++i) {
      state = state * 1664525U + 1013904223U;
      ints.push_back(static_cast<int>(state & mask));
      expected.push_back(static_cast<float>(ints.back() / unit));
    }
    WriteInts(dir.File(c.name), c.format, 16000, 1, ints);
    const base::Audio audio = ReadAudio(dir.File(c.name));
    CHECK(audio.sample_rate_hz == 16000);
    CHECK(audio.samples == expected);
  }
}

TEST_CASE("lossy Ogg Vorbis keeps length and shape") {
  const TempDir dir;
  std::vector<int> ints;
  for (int i = 0; i < 22050; ++i) {
    ints.push_back(static_cast<int>(1e9 * std::sin(0.05 * i)));
  }
  WriteInts(dir.File("a.ogg"), SF_FORMAT_OGG | SF_FORMAT_VORBIS, 22050, 1, ints);
  const base::Audio audio = ReadAudio(dir.File("a.ogg"));
  REQUIRE(audio.samples.size() == ints.size());
  for (size_t i = 1000; i < 21000; ++i) {
    REQUIRE(std::fabs(static_cast<double>(audio.samples[i]) - ints[i] / std::ldexp(1.0, 31)) <
            0.05);
  }
}

TEST_CASE("float samples come as they are, beyond full scale too") {
  const TempDir dir;
  const std::vector<float> samples = {0.1F, -3.5F, 1e-30F, 2.0F};
  WriteFile(dir.File("f.wav"),
            RawWav{.format_tag = 3, .bits = 32, .data = FloatData(samples)}.Bytes());
  CHECK(ReadAudio(dir.File("f.wav")).samples == samples);
}

TEST_CASE("channels are chosen from 0 and missing ones are told") {
  const TempDir dir;
  std::vector<int> ints;
  for (int i = 0; i < 100000; ++i) {
    for (int channel = 0; channel < 3; ++channel) {
      ints.push_back(((i % 1000) + 1000 * channel) * 65536);
    }
  }
  const std::string path = dir.File("three.wav");
  WriteInts(path, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 8000, 3, ints);
  for (int channel = 0; channel < 3; ++channel) {
    AudioInfo info;
    const base::Audio audio = ReadAudio(path, channel, &info);
    CHECK(info.channels == 3);
    REQUIRE(audio.samples.size() == 100000);
    for (int i = 0; i < 100000; ++i) {
      REQUIRE(audio.samples[static_cast<size_t>(i)] ==
              static_cast<float>((i % 1000) + 1000 * channel) / 32768.0F);
    }
  }
  CheckBadInput(path, "3 channels", 3);
  CheckBadInput(path, "--channel", -1);
  CheckBadInput(PPX_SOURCE_DIR "/tests/golden/tiny/voice.wav", "--channel 0", 1);
}

TEST_CASE("what is no sound file") {
  const TempDir dir;
  CheckBadInput(dir.File("missing.wav"), "no such file");
  CheckBadInput(dir.File("no/folder/a.wav"), "no such file");
  CheckBadInput(dir.path(), "folder");
  CheckBadInput("/dev/null", "no regular file");
  REQUIRE(::mkfifo(dir.File("fifo.wav").c_str(), 0600) == 0);
  CheckBadInput(dir.File("fifo.wav"), "no regular file");
  WriteFile(dir.File("empty.wav"), "");
  CheckBadInput(dir.File("empty.wav"), "empty");
  WriteFile(dir.File("text.wav"), "This is a text, whatever its name says.\n");
  CheckBadInput(dir.File("text.wav"), "no sound file");
  WriteFile(dir.File("magic.wav"), "RIFF");
  CheckBadInput(dir.File("magic.wav"), "no sound file");
  for (const char* name : {"text.gsm", "text.vox", "text.au"}) {
    WriteFile(dir.File(name), std::string(1000, 'a'));
    CheckBadInput(dir.File(name), "convert it to WAV");
  }
}

TEST_CASE("a header without samples") {
  const TempDir dir;
  WriteFile(dir.File("none.wav"), RawWav{}.Bytes());
  CheckBadInput(dir.File("none.wav"), "no samples");
}

TEST_CASE("samples that are not finite are told with their time") {
  const TempDir dir;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> samples(24000, 0.25F);
    samples[12000] = bad;
    WriteFile(dir.File("f.wav"),
              RawWav{.format_tag = 3, .bits = 32, .data = FloatData(samples)}.Bytes());
    CheckBadInput(dir.File("f.wav"), "0.500000 s");
  }
  // A double too large for a float.
  const double huge = 1e300;
  std::string bytes(sizeof(huge), '\0');
  std::memcpy(bytes.data(), &huge, sizeof(huge));
  WriteFile(dir.File("d.wav"), RawWav{.format_tag = 3, .bits = 64, .data = bytes}.Bytes());
  CheckBadInput(dir.File("d.wav"), "finite");
}

TEST_CASE("rates at and beyond the limits") {
  const TempDir dir;
  const auto path_at = [&](uint32_t rate_hz) {
    const std::string path = dir.File(std::to_string(rate_hz) + ".wav");
    WriteFile(path, RawWav{.rate_hz = rate_hz, .bits = 8, .data = "abcd"}.Bytes());
    return path;
  };
  CHECK(ReadAudio(path_at(1000)).sample_rate_hz == 1000);
  CHECK(ReadAudio(path_at(768000)).sample_rate_hz == 768000);
  CheckBadInput(path_at(999), "999 Hz");
  CheckBadInput(path_at(768001), "768001 Hz");
  CheckBadInput(path_at(0), "");
  CheckBadInput(path_at(0xffffffffU), "");
}

TEST_CASE("a data chunk that says more than there is gives what is there") {
  const TempDir dir;
  for (const uint32_t said : {uint32_t{9}, uint32_t{1000}, uint32_t{0x7fffffff},
                              uint32_t{0xfffffff0}, uint32_t{0xffffffff}}) {
    CAPTURE(said);
    WriteFile(dir.File("lie.wav"),
              RawWav{.data = std::string(8, '\1'), .data_length_said = said}.Bytes());
    const base::Audio audio = ReadAudio(dir.File("lie.wav"));
    CHECK(audio.samples.size() == 4);
    CHECK(audio.samples.capacity() < 1000);
  }
}

TEST_CASE("half of a FLAC file is damaged") {
  const TempDir dir;
  std::vector<int> ints;
  for (int i = 0; i < 30000; ++i) {
    ints.push_back((i * 7919 % 20011) * 65536);
  }
  const std::string path = dir.File("a.flac");
  WriteInts(path, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 24000, 1, ints);
  const std::string whole = testing::ReadFile(path);
  WriteFile(path, whole.substr(0, whole.size() / 2));
  CheckBadInput(path, "of 30000 samples");
}

TEST_CASE("a file too long is refused before it is read") {
  const TempDir dir;
  const std::string path = dir.File("long.au");
  // Big-endian header: data at 24, length unknown, 16 bits, 8 kHz, mono. The rest is a hole.
  WriteFile(path, std::string(".snd\0\0\0\x18\xff\xff\xff\xff\0\0\0\3\0\0\x1f\x40\0\0\0\1", 24));
  std::error_code error;
  std::filesystem::resize_file(path, static_cast<uintmax_t>(kMaxReadSamples) * 2 + 26, error);
  if (error) {
    MESSAGE("skipped: the temporary folder cannot hold a sparse file of this size");
    return;
  }
  CheckBadInput(path, "too long");
}

TEST_CASE("files cut at every byte, and with every byte spoilt, never crash") {
  const TempDir dir;
  struct Case {
    std::string name;
    int format;
  };
  for (const Case& c : {Case{"a.wav", SF_FORMAT_WAV | SF_FORMAT_PCM_16},
                        Case{"a.flac", SF_FORMAT_FLAC | SF_FORMAT_PCM_16},
                        Case{"a.ogg", SF_FORMAT_OGG | SF_FORMAT_VORBIS}}) {
    CAPTURE(c.name);
    std::vector<int> ints;
    for (int i = 0; i < 400; ++i) {
      ints.push_back((i * 7919 % 20011) * 65536);
    }
    WriteInts(dir.File(c.name), c.format, 24000, 1, ints);
    const std::string whole = testing::ReadFile(dir.File(c.name));
    const size_t step = whole.size() > 2000 ? 7 : 1;
    const auto read = [&](const std::string& bytes) {
      WriteFile(dir.File(c.name), bytes);
      const auto thrown = ErrorOf([&] {
        const base::Audio audio = ReadAudio(dir.File(c.name));
        CHECK(!audio.samples.empty());
        CHECK(audio.samples.size() < 2000000);
      });
      CHECK((!thrown.code || thrown.code == base::ErrorCode::kBadInput));
    };
    for (size_t length = 0; length < whole.size(); length += step) {
      read(whole.substr(0, length));
    }
    for (size_t at = 0; at < whole.size(); at += step) {
      std::string spoilt = whole;
      spoilt[at] = static_cast<char>(~spoilt[at]);
      read(spoilt);
    }
  }
}

}  // namespace
}  // namespace ppx::audio
