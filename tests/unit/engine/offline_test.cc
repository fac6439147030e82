#include "engine/offline.h"

#include <algorithm>

#include "audio/wav_writer.h"
#include "base/error.h"
#include "support/golden_files.h"
#include "support/tolerance.h"

namespace ppx::engine {
namespace {

TEST_CASE("lead-in, recording and tail: lengths to the sample") {
  const codec::MimiConfig config;
  const std::string path = "offline_test.wav";
  for (const int64_t samples : {1, 1919, 1920, 1921, 5760}) {
    CAPTURE(samples);
    const std::vector<float> recording(static_cast<size_t>(samples), 0.25F);
    audio::WriteWav(path, {recording}, 24000, audio::SampleFormat::kFloat32);
    const DialogueAudio plain = ReadDialogueAudio(path, 0, 0, 0, config);
    CHECK(static_cast<int64_t>(plain.samples.size()) == (samples + 1919) / 1920 * 1920);
    CHECK(plain.output_samples == samples);
    const DialogueAudio padded = ReadDialogueAudio(path, 0, 0.2, 0.1, config);
    CHECK(padded.lead_in_frames == 3);  // 2.5 frames, rounded away from zero
    CHECK(padded.output_samples == samples + 2400);
    CHECK(padded.samples[3 * 1920 - 1] == 0.0F);
    CHECK(padded.samples[3 * 1920] == 0.25F);
    const auto user = padded.AlignedUser(1920);
    CHECK(static_cast<int64_t>(user.size()) == samples + 2400);
    CHECK(user[0] == 0.25F);
    CHECK(user.back() == 0.0F);
  }
  std::remove(path.c_str());
}

class OfflineRun {
 public:
  OfflineRun()
      : config_(ModelConfig::Read(test::TinyModel("config.json"))), engine_(Files(), config_, {}) {
    dialogue_.seed = 3;
  }
  DialogueResult Render(Align align, double lead_in_s = 0, TraceRecorder* trace = nullptr) {
    const auto audio =
        ReadDialogueAudio(test::GoldenFile("user.wav"), 0, lead_in_s, 0.5, config_.mimi);
    return RenderDialogue(engine_, audio, dialogue_, align, progress_, interrupt_, trace);
  }
  void Interrupt() { interrupt_ = true; }
  DialogueOptions& dialogue() { return dialogue_; }

 private:
  static EngineFiles Files() {
    return {test::TinyModel("config.json"), test::TinyModel("model.safetensors"),
            test::TinyModel("mimi.safetensors")};
  }
  ModelConfig config_;
  Engine engine_;
  DialogueOptions dialogue_;
  base::NoProgress progress_;
  std::atomic<bool> interrupt_{false};
};

TEST_CASE("live alignment is stream alignment one frame later; the trace stays as it is") {
  OfflineRun run;
  const auto stream = run.Render(Align::kStream);
  const auto live = run.Render(Align::kLive);
  REQUIRE(live.agent.size() == stream.agent.size());
  REQUIRE(live.text.size() == stream.text.size());
  CHECK(std::equal(stream.agent.begin(), stream.agent.end() - 1920, live.agent.begin() + 1920));
  CHECK(std::all_of(live.agent.begin(), live.agent.begin() + 1920, [](float x) { return x == 0; }));
  CHECK(std::equal(stream.text.begin(), stream.text.end() - 1, live.text.begin() + 1));
  CHECK(live.text[0] == 3);
  CHECK((live.tokens == stream.tokens));
  CHECK((live.trace_pcm == stream.agent));
}

TEST_CASE(
    "an engine gives a second dialogue what it gave the first; seed and name tell them apart") {
  OfflineRun run;
  const auto first = run.Render(Align::kStream);
  const auto again = run.Render(Align::kStream);
  CHECK((first.agent == again.agent));
  run.dialogue().dialogue_id = "another";
  CHECK((run.Render(Align::kStream).agent != first.agent));
  run.dialogue().dialogue_id = "";
  run.dialogue().seed = 4;
  CHECK((run.Render(Align::kStream).agent != first.agent));
}

TEST_CASE("a lead-in is heard by the model and left out of everything that is returned") {
  OfflineRun run;
  const auto plain = run.Render(Align::kStream);
  TraceRecorder trace({"mimi.latent"});
  const auto later = run.Render(Align::kStream, 1.0, &trace);
  CHECK(later.agent.size() == plain.agent.size());
  CHECK(later.text.size() == plain.text.size());
  CHECK(later.tokens.size() == plain.tokens.size());
  CHECK(trace.Values("dialogue.mimi.latent").size(0) ==
        static_cast<int64_t>(plain.text.size()) + 13);
  CHECK((later.agent != plain.agent));
}

TEST_CASE("an interrupted dialogue ends with the error for it") {
  OfflineRun run;
  run.Interrupt();
  try {
    run.Render(Align::kStream);
    FAIL("went on");
  } catch (const base::Error& error) {
    CHECK(error.exit_code() == base::ExitCode::kInterrupted);
  }
}

TEST_CASE("values that cannot be traced are named") {
  CHECK_THROWS_AS(TraceRecorder({"lm.nothing"}), base::Error);
}

}  // namespace
}  // namespace ppx::engine
