// Speaker similarity within a scoring, with a module that is made here.
#include <torch/script.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "annotate/energy_vad.h"
#include "audio/wav_writer.h"
#include "evaluate/score.h"
#include "support/doctest_torch.h"
#include "support/temp_dir.h"

namespace ppx::evaluate {
namespace {

void WriteTone(const std::string& path, double hz) {
  std::vector<float> samples(16'000);
  for (size_t i = 0; i < samples.size(); ++i) {
    samples[i] =
        0.3F * static_cast<float>(std::sin(2 * M_PI * hz * static_cast<double>(i) / 16'000));
  }
  audio::WriteWav(path, {samples}, 16'000, audio::SampleFormat::kPcm16);
}

TEST_CASE("the cosine to the voice prompt is a value of the sample") {
  const testing::TempDir dir;
  // An embedding of what lies below and above 1 kHz: the differences of neighbours grow with pitch.
  torch::jit::Module module("speaker");
  module.define(
      "def forward(self, x):\n"
      "    d = x[:, 1:] - x[:, :-1]\n"
      "    return torch.stack([(x * x).mean(), (d * d).mean()]).unsqueeze(0)\n");
  module.save(dir.File("speaker.pt"));
  WriteTone(dir.File("voice.wav"), 200);
  for (const char* id : {"same", "other"}) {
    const std::string folder = dir.File(std::string("synthetic_user_interruption/") + id);
    std::filesystem::create_directories(folder);
    WriteTone(folder + "/output.wav", id[0] == 's' ? 200 : 3500);
    WriteTone(folder + "/input.wav", 300);
    testing::WriteFile(folder + "/output.json", R"({"text": "", "chunks": []})");
    testing::WriteFile(folder + "/interrupt.json",
                       R"([{"context": "", "interrupt": "", "timestamp": [0.2, 0.4]}])");
  }
  const torchscript::SpeakerModel speaker(dir.File("speaker.pt"));
  const annotate::EnergyVad vad;
  base::NoProgress progress;
  ScoreOptions options;
  options.root = dir.path();
  options.vad = &vad;
  options.speaker = &speaker;
  options.voice_prompt = dir.File("voice.wav");
  options.progress = &progress;
  const report::Results results =
      Score(suite::LoadSuite(PPX_SOURCE_DIR "/eval/fdb-v1.0.yaml"), options);
  REQUIRE(results.samples.size() == 2);
  std::map<std::string, double> similarity;
  for (const report::SampleRow& row : results.samples) {
    CHECK(row.scored);
    for (const report::SampleValue& value : row.values) {
      if (value.name == "speaker_similarity") similarity[row.id] = value.value.value();
    }
  }
  CHECK(similarity.at("same") == doctest::Approx(1));
  CHECK(similarity.at("other") < 0.95);
  CHECK(results.context.at("speaker_model").at("sha256") == speaker.sha256());
}

}  // namespace
}  // namespace ppx::evaluate
