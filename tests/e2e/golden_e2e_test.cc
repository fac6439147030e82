// The program against the reference's offline run.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "audio/wav_reader.h"
#include "e2e/offline.h"
#include "support/doctest.h"
#include "weights/safetensors.h"

namespace ppx::test {
namespace {

template <typename T>
std::vector<T> Values(const weights::SafetensorsFile& file, const std::string& name) {
  const weights::TensorView* view = file.Find(name);
  REQUIRE_MESSAGE(view != nullptr, file.path(), " has no ", name);
  REQUIRE(view->data.size() % sizeof(T) == 0);
  std::vector<T> values(view->data.size() / sizeof(T));
  std::memcpy(values.data(), view->data.data(), view->data.size());
  return values;
}

void CheckGolden(const std::string& voice, const std::string& key) {
  CAPTURE(key);
  const Folder folder;
  const std::string prompt = ReadJson(GoldenFile("prompt.json")).at("text_prompt");
  const RunResult run =
      Offline(Tiny(GoldenFile("user.wav")) +
              Arguments{"--voice-prompt", GoldenFile(voice), "--text-prompt", prompt, "--greedy",
                        "--dtype", "f32", "--trace", folder / "t.safetensors", "--output-wav",
                        folder / "o.wav", "--output-text", folder / "o.json"});
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);

  const auto expected = weights::SafetensorsFile::Open(GoldenFile("golden.safetensors"));
  const auto trace = weights::SafetensorsFile::Open(folder / "t.safetensors");
  REQUIRE(trace->Find("tokens") != nullptr);
  CHECK(trace->Find("tokens")->shape == expected->Find(key + ".tokens")->shape);
  CHECK(Values<int32_t>(*trace, "tokens") == Values<int32_t>(*expected, key + ".tokens"));

  const auto pcm = Values<float>(*trace, "pcm");
  const auto expected_pcm = Values<float>(*expected, key + ".pcm");
  REQUIRE(pcm.size() == expected_pcm.size());
  float largest = 0;
  float worst = 0;
  for (size_t i = 0; i < pcm.size(); ++i) {
    largest = std::max(largest, std::abs(expected_pcm[i]));
    worst = std::max(worst, std::abs(pcm[i] - expected_pcm[i]));
  }
  CHECK(largest > 0);
  CHECK(worst <= 1e-4F * largest);

  CHECK(ReadJson(folder / "o.json") == ReadJson(GoldenFile(key + ".text.json")));

  // The recording is 24 kHz, so it has as many samples as the answer.
  const auto agent = ReadSamples(folder / "o.wav");
  CHECK(agent.size() == ReadSamples(GoldenFile("user.wav")).size());
  REQUIRE(agent.size() == pcm.size());
  float wav_worst = 0;
  for (size_t i = 0; i < pcm.size(); ++i) {
    wav_worst = std::max(wav_worst, std::abs(std::clamp(pcm[i], -1.0F, 1.0F) - agent[i]));
  }
  CHECK(wav_worst <= 1.0F / 32768);
  CHECK(folder.Names() == std::vector<std::string>{"o.json", "o.wav", "t.safetensors"});
}

TEST_CASE("the reference's greedy dialogue, voice from a recording") {
  CheckGolden("voice.wav", "greedy");
}
TEST_CASE("the reference's greedy dialogue, voice from a torch.save file") {
  CheckGolden("voice.pt", "greedy_pt");
}

}  // namespace
}  // namespace ppx::test
