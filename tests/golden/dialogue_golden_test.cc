// A whole greedy dialogue against the reference's offline run: voice prompt, text prompt, frames.
#include <algorithm>
#include <cstdio>
#include <fstream>

#include "engine/engine.h"
#include "engine/offline.h"
#include "nn/json_fields.h"
#include "support/golden_files.h"
#include "support/tolerance.h"
#include "text/text_prompt.h"
#include "text/text_track.h"
#include "text/tokenizer.h"
#include "weights/safetensors.h"

namespace ppx::test {
namespace {

class TinyDialogue {
 public:
  explicit TinyDialogue(int64_t max_steps = 0)
      : config_(engine::ModelConfig::Read(TinyModel("config.json"))),
        engine_({TinyModel("config.json"), TinyModel("model.safetensors"),
                 TinyModel("mimi.safetensors")},
                config_, Options(max_steps)) {}

  engine::Engine& engine() { return engine_; }
  const engine::ModelConfig& config() const { return config_; }

  engine::SystemPrompt Prompt(bool saved_voice) const {
    engine::SystemPrompt prompt;
    prompt.text_tokens = text::EncodeTextPrompt(
        text::Tokenizer::Load(TinyModel("tokenizer_spm.model")),
        nn::JsonFields::ReadFile(GoldenFile("prompt.json"))["text_prompt"].get<std::string>());
    prompt.voice =
        saved_voice
            ? engine::ReadSavedVoice(GoldenFile("voice.pt"), config_.lm)
            : engine_.EncodeVoiceSamples(
                  "voice.wav", engine::ReadVoiceRecording(GoldenFile("voice.wav"), config_.mimi));
    return prompt;
  }

 private:
  static engine::EngineOptions Options(int64_t max_steps) {
    engine::EngineOptions options;
    options.max_steps = max_steps;
    options.dtype = "f32";  // the weights are stored in bfloat16, the expected values float32
    return options;
  }

  engine::ModelConfig config_;
  engine::Engine engine_;
};

at::Tensor Flat(const std::vector<lm::FrameTokens>& rows) {
  std::vector<int64_t> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return at::tensor(flat).view({static_cast<int64_t>(rows.size()), -1});
}

void CheckDialogue(const std::string& key, bool saved_voice, int64_t max_steps) {
  CAPTURE(key);
  TinyDialogue tiny(max_steps);
  engine::DialogueOptions dialogue;
  dialogue.prompt = std::make_shared<const engine::SystemPrompt>(tiny.Prompt(saved_voice));
  dialogue.sampling.greedy = true;
  CHECK(engine::PromptStepCount(*dialogue.prompt, tiny.config().lm, 12.5) == 80);
  std::vector<int64_t> prompt_ids(dialogue.prompt->text_tokens.begin(),
                                  dialogue.prompt->text_tokens.end());
  CheckEqual(at::tensor(prompt_ids), Golden(key + ".text_prompt_tokens"));

  const engine::DialogueAudio audio =
      engine::ReadDialogueAudio(GoldenFile("user.wav"), 0, 0, 0, tiny.config().mimi);
  base::NoProgress progress;
  const std::atomic<bool> interrupt{false};
  engine::TraceRecorder trace({"lm.transformer_out"});
  const engine::DialogueResult result = engine::RenderDialogue(
      tiny.engine(), audio, dialogue, engine::Align::kStream, progress, interrupt, &trace);

  CheckEqual(Flat(result.tokens), Golden(key + ".tokens"));
  CheckClose(at::tensor(result.agent), Golden(key + ".pcm"));
  CheckClose(trace.Values("prompt.lm.transformer_out"), Golden(key + ".prompt_transformer_out"));
  CheckClose(trace.Values("dialogue.lm.transformer_out"),
             Golden(key + ".dialogue_transformer_out"));

  const auto tokenizer = text::Tokenizer::Load(TinyModel("tokenizer_spm.model"));
  const auto expected = nlohmann::json::parse(std::ifstream(GoldenFile(key + ".text.json")));
  CHECK(nlohmann::json(text::FrameStrings(result.text, tokenizer)) == expected);
}

TEST_CASE("greedy dialogue from a voice recording") { CheckDialogue("greedy", false, 0); }
TEST_CASE("greedy dialogue from a saved voice") { CheckDialogue("greedy_pt", true, 0); }
TEST_CASE("greedy dialogue with keys and values sized by the dialogue") {
  CheckDialogue("greedy", false, 155);
}

TEST_CASE("prefilling the prompt is stepping it") {
  TinyDialogue tiny;
  const engine::SystemPrompt prompt = tiny.Prompt(false);
  const lm::LmModel& model = tiny.engine().lm();
  const lm::LmConfig& config = model.config();
  const auto collect = [](std::vector<at::Tensor>& into) {
    return [&into](std::string_view name, const at::Tensor& value) {
      if (name == "lm.transformer_out") into.push_back(value.clone());
    };
  };

  lm::LmState stepped = model.NewState(2);
  std::vector<at::Tensor> stepped_out;
  auto steps = engine::VoiceSteps(prompt.voice, 1, config);
  for (auto& step : engine::TextSteps(prompt.text_tokens, 1, config, 12.5)) steps.push_back(step);
  for (const auto& step : steps) model.Step(std::span(&step, 1), stepped, collect(stepped_out));

  lm::LmState prefilled = model.NewState(2);
  std::vector<at::Tensor> prefilled_out;
  engine::RunSystemPrompt(prompt, 1, 12.5, model, prefilled, collect(prefilled_out));

  CheckClose(at::cat(prefilled_out, 0), at::cat(stepped_out, 0));
  CHECK(prefilled.tokens[1].offset() == stepped.tokens[1].offset());
  CHECK(prefilled.tokens[1].Cells() == stepped.tokens[1].Cells());

  // What follows is the same too, on either state.
  lm::StepInput user{.slot = 1, .user = std::vector<int32_t>(8, 5)};
  for (auto* state : {&stepped, &prefilled}) state->settings[1].sampling.greedy = true;
  for (int i = 0; i < 30; ++i) {
    const auto a = model.Step(std::span(&user, 1), stepped);
    const auto b = model.Step(std::span(&user, 1), prefilled);
    REQUIRE(a[0].has_value() == b[0].has_value());
    if (a[0]) CHECK(*a[0] == *b[0]);
  }
}

TEST_CASE("a voice saved as safetensors is the recording it came from") {
  TinyDialogue tiny;
  const engine::SystemPrompt prompt = tiny.Prompt(false);
  const std::string path = "saved_voice_test.safetensors";
  engine::WriteSavedVoice(path, prompt.voice, tiny.engine().lm());
  const engine::VoicePrompt saved = engine::ReadSavedVoice(path, tiny.config().lm);
  const engine::VoicePrompt reference =
      engine::ReadSavedVoice(GoldenFile("voice.pt"), tiny.config().lm);
  CHECK(saved.cache == reference.cache);
  CheckClose(saved.embeddings, reference.embeddings);
  std::remove(path.c_str());
}

TEST_CASE("a change of the input changes no output before its frame") {
  TinyDialogue tiny;
  engine::DialogueOptions dialogue;
  dialogue.prompt = std::make_shared<const engine::SystemPrompt>(tiny.Prompt(true));
  dialogue.seed = 11;
  engine::DialogueAudio audio =
      engine::ReadDialogueAudio(GoldenFile("user.wav"), 0, 0, 0, tiny.config().mimi);
  base::NoProgress progress;
  const std::atomic<bool> interrupt{false};
  const auto render = [&] {
    return engine::RenderDialogue(tiny.engine(), audio, dialogue, engine::Align::kStream, progress,
                                  interrupt, nullptr);
  };
  const auto plain = render();
  const auto frame_samples = static_cast<size_t>(tiny.config().mimi.frame_samples());
  bool anything_changed = false;
  for (const size_t from :
       {size_t{1}, frame_samples * 20, frame_samples * 33 + 1000, frame_samples * 74 - 1}) {
    CAPTURE(from);
    const std::vector<float> original = audio.samples;
    for (size_t i = from; i < audio.samples.size(); ++i) audio.samples[i] = 0.3F - audio.samples[i];
    const auto changed = render();
    audio.samples = original;
    const size_t frame = from / frame_samples;
    CHECK(std::equal(plain.agent.begin(),
                     plain.agent.begin() + static_cast<std::ptrdiff_t>(frame * frame_samples),
                     changed.agent.begin()));
    CHECK(std::equal(plain.text.begin(), plain.text.begin() + static_cast<std::ptrdiff_t>(frame),
                     changed.text.begin()));
    anything_changed = anything_changed || changed.agent != plain.agent;
  }
  CHECK(anything_changed);
}

}  // namespace
}  // namespace ppx::test
