// Likeness of voices, with a module that is made here.
#include "torchscript/speaker_embedding.h"

#include <torch/script.h>

#include <cmath>

#include "support/doctest_torch.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::torchscript {
namespace {

using testing::ErrorOf;
using testing::TempDir;

// Embeds by mean square, peak and number of samples.
std::string Save(const TempDir& dir, const std::string& body) {
  torch::jit::Module module("speaker");
  module.define("def forward(self, x):\n" + body);
  module.save(dir.File("speaker.pt"));
  return dir.File("speaker.pt");
}

base::Audio Tone(double hz, float gain, int rate_hz = 16'000) {
  base::Audio audio{std::vector<float>(static_cast<size_t>(rate_hz)), rate_hz};
  for (size_t i = 0; i < audio.samples.size(); ++i) {
    audio.samples[i] =
        gain * static_cast<float>(std::sin(2 * M_PI * hz * static_cast<double>(i) / rate_hz));
  }
  return audio;
}

TEST_CASE("the module sees the audio at 16 kHz") {
  const TempDir dir;
  const SpeakerModel model(Save(dir,
                                "    return torch.stack([(x * x).mean(), x.abs().max(), "
                                "torch.tensor(float(x.size(1)))]).unsqueeze(0)\n"));
  const auto embedding = model.Embed(Tone(440, 0.5F, 48'000));
  REQUIRE(embedding.size() == 3);
  CHECK(std::abs(embedding[0] - 0.125F) < 1e-3F);
  CHECK(std::abs(embedding[1] - 0.5F) < 1e-2F);
  CHECK(embedding[2] == 16'000.0F);
  CHECK(model.sha256().size() == 64);
}

TEST_CASE("a tuple's first part counts") {
  const TempDir dir;
  const SpeakerModel model(Save(dir, "    return (x[:, :4], 1)\n"));
  CHECK(model.Embed(Tone(100, 1)).size() == 4);
}

TEST_CASE("cosine") {
  const std::vector<float> x{1, 0};
  const std::vector<float> y{1, 1};
  const std::vector<float> minus{-2, 0};
  CHECK(CosineSimilarity(x, x) == doctest::Approx(1));
  CHECK(CosineSimilarity(x, y) == doctest::Approx(std::sqrt(0.5)));
  CHECK(CosineSimilarity(x, minus) == doctest::Approx(-1));
  CHECK_THROWS_AS(CosineSimilarity(x, std::vector<float>{1}), base::Error);
  CHECK_THROWS_AS(CosineSimilarity(x, std::vector<float>{0, 0}), base::Error);
}

TEST_CASE("a model that does not do what it should") {
  const TempDir dir;
  const auto refusal = [&](const std::string& body) {
    return ErrorOf([&] { SpeakerModel(Save(dir, body)).Embed(Tone(100, 1)); });
  };
  CHECK(refusal("    return x.mean() / 0 * 0\n").Mentions("not finite"));
  CHECK(refusal("    return x.view(3, 7)\n").Mentions("the model failed"));
  CHECK(refusal("    return 1\n").code == base::ErrorCode::kBadInput);
  CHECK(ErrorOf([] { const SpeakerModel model("/nowhere.pt"); }).Mentions("was not found"));
}

}  // namespace
}  // namespace ppx::torchscript
