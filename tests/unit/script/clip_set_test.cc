#include "script/clip_set.h"

#include <cmath>
#include <numeric>
#include <stdexcept>

#include "script_bench.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::script {
namespace {

using testing::ErrorOf;

std::vector<float> Load(const Bench& bench, const std::string& clip) {
  const auto script = bench.Parse("steps: [{wait: 1}]\nclips: {a: " + clip + "}\n");
  return LoadClips(script, kRateHz, nullptr).clips.at(0);
}

testing::Thrown Fails(const Bench& bench, const std::string& yaml,
                      const SpeechSynthesiser* synthesiser = nullptr) {
  return ErrorOf([&] { LoadClips(bench.Parse(yaml), kRateHz, synthesiser); });
}

double Rms(const std::vector<float>& samples) {
  double sum = 0;
  for (const float s : samples) sum += static_cast<double>(s) * static_cast<double>(s);
  return std::sqrt(sum / static_cast<double>(samples.size()));
}

TEST_CASE("parts, gains and fades of a file") {
  const Bench bench;
  std::vector<float> ramp(kRateHz);
  std::iota(ramp.begin(), ramp.end(), 0.0F);
  for (float& s : ramp) s /= 2.0F * kRateHz;
  WriteSound(bench.dir.File("ramp.wav"), ramp);
  CHECK(Load(bench, "{file: ramp.wav}") == ramp);
  const auto part = Load(bench, "{file: ramp.wav, from_s: 0.25, to_s: 0.5}");
  REQUIRE(part.size() == kRateHz / 4);
  CHECK(part.front() == ramp[kRateHz / 4]);
  CHECK(part.back() == ramp[kRateHz / 2 - 1]);
  CHECK(Load(bench, "{file: ramp.wav, to_s: 7}") == ramp);
  CHECK(Load(bench, "{file: ramp.wav, gain_db: 20}")[800] == doctest::Approx(ramp[800] * 10));
  const auto faded = Load(bench, "{file: one.wav, fade_in_s: 0.1, fade_out_s: 0.2}");
  CHECK(faded[0] == 0);
  CHECK(faded[400] == doctest::Approx(0.125));
  CHECK(faded[800] == 0.25F);
  CHECK(faded[faded.size() - 1601] == 0.25F);
  CHECK(faded[faded.size() - 1 - 800] == doctest::Approx(0.125));
  CHECK(faded.back() == 0);
  const auto long_fade = Load(bench, "{file: one.wav, fade_in_s: 2}");
  CHECK(long_fade[4000] == doctest::Approx(0.25 * 4000 / 16000));
}

TEST_CASE("another rate, another channel, another loudness") {
  const Bench bench;
  WriteSound(bench.dir.File("fast.wav"), std::vector<float>(22050, 0.25F), 44100);
  CHECK(Load(bench, "{file: fast.wav}").size() == kRateHz / 2);
  audio::WriteWav(bench.dir.File("two.wav"), {Tone(1, 0.1F), Tone(1, 0.4F)}, kRateHz,
                  audio::SampleFormat::kFloat32);
  CHECK(Rms(Load(bench, "{file: two.wav, channel: 1}")) ==
        doctest::Approx(4 * Rms(Load(bench, "{file: two.wav}"))));
  const double quiet = Rms(Load(bench, "{file: two.wav, loudness_lufs: -40}"));
  const double loud = Rms(Load(bench, "{file: two.wav, channel: 1, loudness_lufs: -20}"));
  CHECK(loud == doctest::Approx(10 * quiet).epsilon(1e-4));
  const double louder = Rms(Load(bench, "{file: two.wav, loudness_lufs: -40, gain_db: 20}"));
  CHECK(louder == doctest::Approx(loud).epsilon(1e-4));
}

TEST_CASE("trimming keeps the sound, and silence as it is") {
  const Bench bench;
  std::vector<float> sound(static_cast<size_t>(At(0.5)), 0.0001F);
  const auto tone = Tone(0.4);
  sound.insert(sound.end(), tone.begin(), tone.end());
  sound.insert(sound.end(), static_cast<size_t>(At(0.2)), 0.0F);
  sound.insert(sound.end(), tone.begin(), tone.end());
  sound.resize(sound.size() + static_cast<size_t>(At(0.735)), 0.0F);
  WriteSound(bench.dir.File("s.wav"), sound);
  const auto trimmed = Load(bench, "{file: s.wav, trim: true}");
  CHECK(trimmed.size() == static_cast<size_t>(At(1.0)));
  CHECK(trimmed[5] == tone[5]);
  WriteSound(bench.dir.File("zero.wav"), std::vector<float>(100, 0.0F));
  CHECK(Load(bench, "{file: zero.wav, trim: true}").size() == 100);
}

TEST_CASE("noise relative to the speech of the clips that steps play") {
  const Bench bench;
  std::vector<float> speech = Tone(1, 0.4F);
  speech.resize(static_cast<size_t>(At(4)), 0.0F);  // pauses do not count
  WriteSound(bench.dir.File("speech.wav"), speech);
  WriteSound(bench.dir.File("hum.wav"), Tone(2, 0.9F));
  const auto load = [&](const std::string& noise) {
    return LoadClips(
        bench.Parse("clips: {s: {file: speech.wav}, loud: {file: hum.wav}}\n"
                    "background: [{play: loud, at_s: 1}]\nsteps: [{play: s}]\nnoise: " +
                    noise),
        kRateHz, nullptr);
  };
  const double rms = 0.4 / std::sqrt(2.0);
  CHECK(load("{kind: white, snr_db: 20}").noise_rms == doctest::Approx(rms / 10).epsilon(0.01));
  CHECK(load("{kind: pink, snr_db: -20}").noise_rms == doctest::Approx(rms * 10).epsilon(0.01));
  CHECK(load("{kind: pink, level_db: -40}").noise_rms == doctest::Approx(0.01));
  CHECK(load("{kind: white, snr_db: 20}").noise.empty());
  const auto file = load("{kind: file, file: hum.wav, level_db: -40}");
  CHECK(Rms(file.noise) == doctest::Approx(0.01).epsilon(1e-4));
  CHECK(LoadClips(bench.Parse("steps: [{wait: 1}]"), kRateHz, nullptr).noise_rms == 0);
}

TEST_CASE("what cannot be loaded is told with its place in the script") {
  const Bench bench;
  testing::WriteFile(bench.dir.File("text.wav"), "not a sound");
  WriteSound(bench.dir.File("zero.wav"), std::vector<float>(kRateHz, 0.0F));
  const std::string steps = "steps: [{wait: 1}]\n";
  const auto fails = [&](const std::string& yaml, const std::string& place,
                         const std::string& text) {
    const auto thrown = Fails(bench, yaml);
    CAPTURE(thrown.message);
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CHECK(thrown.message.rfind(bench.path + place, 0) == 0);
    CHECK(thrown.Mentions(text));
  };
  fails(steps + "clips: {x: {file: text.wav}}", ":2:12: clip 'x': ", "text.wav");
  fails(steps + "clips: {x: {file: one.wav, channel: 2}}", ":2:12: clip 'x': ", "channel 2");
  fails(steps + "clips: {x: {file: one.wav, from_s: 1}}", ":2:12: clip 'x': ", "ends at 1.000 s");
  fails(steps + "clips: {x: {file: zero.wav, loudness_lufs: -20}}", ":2:12: clip 'x': ", "gain_db");
  fails(steps + "noise: {kind: file, file: zero.wav, level_db: -40}", ":2:8: noise: ", "silent");
  fails(steps + "noise: {kind: white, snr_db: 10}", ":2:8: noise: ", "level_db");
  fails("clips: {z: {file: zero.wav}}\nsteps: [{play: z}]\nnoise: {kind: white, snr_db: 10}",
        ":3:8: noise: ", "silent");
  const auto none = Fails(bench, steps + "clips: {x: {say: hello}}");
  CHECK(none.code == base::ErrorCode::kUsage);
  CHECK(none.Mentions(":2:12: clip 'x': "));
  CHECK(none.Mentions("synthesiser"));
}

class FakeSynthesiser final : public SpeechSynthesiser {
 public:
  base::Audio Speak(const std::string& text,
                    const std::map<std::string, std::string>& options) const override {
    if (text == "fail") base::ThrowBadInput("no such word");
    std::vector<float> samples = Tone(static_cast<double>(text.size()) / 10);
    if (options.contains("voice")) samples.resize(samples.size() + kRateHz, 0.0F);
    return {samples, kRateHz};
  }
  std::string identity() const override { return ""; }
};

TEST_CASE("spoken clips") {
  const Bench bench;
  const FakeSynthesiser synthesiser;
  const auto set =
      LoadClips(bench.Parse("steps: [{wait: 1}]\nclips:\n  a: {say: hello}\n  b: {say: "
                            "hi, voice: x}\n  c: {say: hi, voice: x, trim: false}\n"),
                kRateHz, &synthesiser);
  CHECK(set.clips[0].size() == static_cast<size_t>(At(0.5)));
  CHECK(set.clips[1].size() == static_cast<size_t>(At(0.2)));
  CHECK(set.clips[2].size() == static_cast<size_t>(At(1.2)));
  const auto thrown = Fails(bench, "steps: [{wait: 1}]\nclips:\n  a: {say: fail}\n", &synthesiser);
  CHECK(thrown.message == bench.path + ":3:6: clip 'a': no such word");
}

}  // namespace
}  // namespace ppx::script
