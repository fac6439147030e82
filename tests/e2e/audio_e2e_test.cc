// Formats of recordings, lengths and alignment of the outputs.
#include <fmt/format.h>
#include <sndfile.h>

#include <algorithm>
#include <cmath>

#include "audio/wav_reader.h"
#include "e2e/offline.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

constexpr size_t kRate = 24000;
constexpr size_t kFrame = 1920;

size_t CeilDiv(size_t a, size_t b) { return (a + b - 1) / b; }

TEST_CASE("recordings of other rates and formats") {
  struct Case {
    const char* name;
    int rate_hz;
    int format;
    size_t channels;
    size_t samples;
  };
  const Case cases[] = {
      {"8k.wav", 8000, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, 4001},
      {"16k.wav", 16000, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, 8003},
      {"44k.wav", 44100, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, 22051},
      {"48k.wav", 48000, SF_FORMAT_WAV | SF_FORMAT_PCM_16, 1, 24001},
      {"24bit.wav", 24000, SF_FORMAT_WAV | SF_FORMAT_PCM_24, 1, 5000},
      {"float.wav", 24000, SF_FORMAT_WAV | SF_FORMAT_FLOAT, 1, 5001},
      {"8bit.wav", 24000, SF_FORMAT_WAV | SF_FORMAT_PCM_U8, 1, 5002},
      {"stereo.flac", 32000, SF_FORMAT_FLAC | SF_FORMAT_PCM_16, 2, 7001},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Folder folder;
    std::vector<std::vector<float>> channels{Noise(c.samples, 5)};
    if (c.channels == 2) channels.insert(channels.begin(), Noise(c.samples, 6));
    WriteSound(folder / c.name, channels, c.rate_hz, c.format);
    const RunResult run =
        Offline(Tiny(folder / c.name) + Arguments{"--channel", fmt::format("{}", c.channels - 1),
                                                  "--output-wav", folder / "o.wav", "--output-text",
                                                  folder / "o.json", "--quiet"});
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    audio::AudioInfo info;
    const auto agent = audio::ReadAudio(folder / "o.wav", 0, &info).samples;
    CHECK(info.sample_rate_hz == static_cast<int>(kRate));
    CHECK(info.channels == 1);
    CHECK(info.format == "WAV (Microsoft), Signed 16 bit PCM");
    CHECK(agent.size() == CeilDiv(c.samples * kRate, static_cast<size_t>(c.rate_hz)));
    CHECK(ReadJson(folder / "o.json").size() == CeilDiv(agent.size(), kFrame));
  }
}

TEST_CASE("the channel that is asked for is the user") {
  const Folder folder;
  const auto silent = std::vector<float>(6000, 0.0F);
  const auto speech = Noise(6000);
  WriteSound(folder / "both.wav", {silent, speech}, 24000, SF_FORMAT_WAV | SF_FORMAT_FLOAT);
  WriteRecording(folder / "one.wav", speech);
  const auto run = [&](const std::string& input, const std::string& channel,
                       const std::string& output) {
    const RunResult result =
        Offline(Tiny(folder / input) +
                Arguments{"--channel", channel, "--output-stereo", folder / output, "--output-wav",
                          folder / ("mono_" + output), "--sample-format", "float32", "--quiet"});
    INFO(Told(result));
    REQUIRE(result.exit_code == 0);
  };
  run("both.wav", "1", "a.wav");
  run("one.wav", "0", "b.wav");
  CHECK(ReadBytes(folder / "a.wav") == ReadBytes(folder / "b.wav"));
  audio::AudioInfo info;
  CHECK(audio::ReadAudio(folder / "a.wav", 0, &info).samples == speech);
  CHECK(info.channels == 2);
  CHECK(ReadSamples(folder / "a.wav", 1) == ReadSamples(folder / "mono_a.wav"));
  CHECK(ReadSamples(folder / "a.wav", 1) != speech);
}

TEST_CASE("a full last frame gets no further row, a begun one gets one") {
  for (const size_t samples : {size_t{1}, kFrame - 1, kFrame, kFrame + 1, 3 * kFrame}) {
    CAPTURE(samples);
    const Folder folder;
    WriteRecording(folder / "in.wav", Noise(samples));
    const RunResult run =
        Offline(Tiny(folder / "in.wav") + Arguments{"--output-wav", folder / "o.wav",
                                                    "--output-text", folder / "o.json", "--quiet"});
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    CHECK(ReadSamples(folder / "o.wav").size() == samples);
    CHECK(ReadJson(folder / "o.json").size() == CeilDiv(samples, kFrame));
  }
}

TEST_CASE("live is stream one frame later") {
  const Folder folder;
  WriteRecording(folder / "in.wav", Noise(12 * kFrame + 77));
  const auto run = [&](const std::string& align) {
    const RunResult result = Offline(
        Tiny(folder / "in.wav") + Arguments{"--seed", "3", "--align", align, "--sample-format",
                                            "float32", "--output-wav", folder / (align + ".wav"),
                                            "--output-text", folder / (align + ".json"), "--trace",
                                            folder / (align + ".safetensors"), "--quiet"});
    INFO(Told(result));
    REQUIRE(result.exit_code == 0);
  };
  run("stream");
  run("live");
  const auto stream = ReadSamples(folder / "stream.wav");
  const auto live = ReadSamples(folder / "live.wav");
  REQUIRE(live.size() == stream.size());
  CHECK(std::all_of(live.begin(), live.begin() + kFrame, [](float x) { return x == 0; }));
  CHECK(std::equal(live.begin() + kFrame, live.end(), stream.begin()));
  CHECK(std::any_of(live.begin(), live.end(), [](float x) { return x != 0; }));

  const auto stream_text = ReadJson(folder / "stream.json");
  const auto live_text = ReadJson(folder / "live.json");
  REQUIRE(live_text.size() == stream_text.size());
  CHECK(live_text[0] == "PAD");
  for (size_t i = 1; i < live_text.size(); ++i) CHECK(live_text[i] == stream_text[i - 1]);
  // The trace does not depend on where answers are placed.
  CHECK(ReadBytes(folder / "stream.safetensors") == ReadBytes(folder / "live.safetensors"));
}

TEST_CASE("lead-in and tail") {
  const Folder folder;
  const size_t recorded = 5 * kFrame + 100;
  const size_t tail = 8880;  // 0.37 s
  const auto speech = Noise(recorded);
  WriteRecording(folder / "in.wav", speech);
  for (const char* align : {"stream", "live"}) {
    CAPTURE(align);
    const RunResult run =
        Offline(Tiny(folder / "in.wav") +
                Arguments{"--lead-in", "0.5", "--tail", "0.37", "--align", align, "--output-wav",
                          folder / "o.wav", "--output-text", folder / "o.json", "--output-stereo",
                          folder / "s.wav", "--sample-format", "float32", "--output-record",
                          folder / "run.json", "--trace", folder / "t.safetensors", "--quiet"});
    INFO(Told(run));
    REQUIRE(run.exit_code == 0);
    CHECK(ReadSamples(folder / "o.wav").size() == recorded + tail);
    CHECK(ReadJson(folder / "o.json").size() == CeilDiv(recorded + tail, kFrame));
    const auto record = ReadJson(folder / "run.json");
    CHECK(record.at("lead_in_frames") == 6);  // 6.25 frames
    CHECK(record.at("output_samples") == recorded + tail);
    CHECK(record.at("dialogue_frames") == 6 + CeilDiv(recorded + tail, kFrame));
    CHECK(record.at("options").at("lead-in") == 0.5);
    CHECK(record.at("options").at("tail") == 0.37);
    auto expected_user = speech;
    expected_user.resize(recorded + tail, 0.0F);
    CHECK(ReadSamples(folder / "s.wav", 0) == expected_user);
    // The model speaks from the lead-in on: the first frame has an answer already.
    if (std::string(align) == "stream") {
      const auto agent = ReadSamples(folder / "o.wav");
      CHECK(std::any_of(agent.begin(), agent.begin() + kFrame, [](float x) { return x != 0; }));
    }
  }
}

}  // namespace
}  // namespace ppx::test
