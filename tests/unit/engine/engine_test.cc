#include "engine/engine.h"

#include <algorithm>
#include <filesystem>

#include "audio/framer.h"
#include "audio/wav_reader.h"
#include "base/error.h"
#include "support/doctest_torch.h"
#include "support/golden_files.h"
#include "support/temp_dir.h"

namespace ppx::engine {
namespace {

constexpr size_t kFrames = 30;

EngineFiles TinyFiles() {
  return {test::TinyModel("config.json"), test::TinyModel("model.safetensors"),
          test::TinyModel("mimi.safetensors")};
}

Engine TinyEngine(int slots, int prompts_kept = 0, const std::string& dtype = "f32") {
  return {TinyFiles(), ModelConfig::Read(test::TinyModel("config.json")),
          EngineOptions{.dtype = dtype, .slots = slots, .prompts_kept = prompts_kept}};
}

std::vector<float> User(const ModelConfig& config) {
  std::vector<float> samples = audio::PadToFrames(
      audio::ReadAudio(test::GoldenFile("user.wav")).samples, config.mimi.frame_samples());
  samples.resize(kFrames * static_cast<size_t>(config.mimi.frame_samples()));
  return samples;
}

struct Rendered {
  std::vector<lm::FrameTokens> tokens;
  std::vector<float> pcm;
  bool operator==(const Rendered&) const = default;
};

// One dialogue in one slot; the other slots hold the same recording backwards, other seeds, and
// start and stop in between where `busy`.
Rendered Render(Engine& engine, int slot, bool busy) {
  const std::vector<float> user = User(engine.config());
  std::vector<float> noise(user.rbegin(), user.rend());
  const auto samples = static_cast<size_t>(engine.config().mimi.frame_samples());
  const auto codes = [&](int in, const std::vector<float>& audio) {
    return engine.Encode(in, audio);
  };
  std::vector<std::vector<std::vector<int32_t>>> heard(static_cast<size_t>(engine.slots()));
  for (int other = 0; other < engine.slots(); ++other) {
    if (other != slot && !busy) continue;
    engine.Start(other, {.seed = other == slot ? 5U : 100U + static_cast<uint64_t>(other)});
    heard[static_cast<size_t>(other)] = codes(other, other == slot ? user : noise);
  }
  Rendered rendered;
  for (size_t frame = 0; frame < kFrames; ++frame) {
    std::vector<CodesInput> rows(static_cast<size_t>(engine.slots()));
    for (int other = 0; other < engine.slots(); ++other) {
      const auto& frames = heard[static_cast<size_t>(other)];
      if (frames.empty() || (other != slot && frame % 7 == 3)) continue;
      rows[static_cast<size_t>(other)] = {.slot = other, .codes = frames[frame]};
    }
    const auto out = engine.StepCodes(rows)[static_cast<size_t>(slot)];
    if (out) rendered.tokens.push_back(*out);
  }
  rendered.pcm = engine.Decode(slot, rendered.tokens);
  CHECK(rendered.pcm.size() == rendered.tokens.size() * samples);
  return rendered;
}

TEST_CASE("a dialogue's bits depend neither on its slot nor on its neighbours") {
  for (const char* dtype : {"f32", "bf16"}) {
    CAPTURE(dtype);
    Engine engine = TinyEngine(5, 0, dtype);
    const Rendered alone = Render(engine, 0, /*busy=*/false);
    CHECK(alone.tokens.size() > kFrames / 2);
    for (int slot = 0; slot < 5; ++slot) {
      CAPTURE(slot);
      CHECK((Render(engine, slot, true) == alone));
    }
    Engine small = TinyEngine(1, 0, dtype);
    CHECK((Render(small, 0, false) == alone));
  }
}

TEST_CASE("quantised weights: near the model's own, kept in a file, the same from there") {
  const testing::TempDir folder;
  for (const char* form : {"int8", "int4"}) {
    CAPTURE(form);
    const std::string file = folder.File(std::string(form) + ".safetensors");
    const auto open = [&](const std::string& dtype) {
      return Engine(
          TinyFiles(), ModelConfig::Read(test::TinyModel("config.json")),
          EngineOptions{.dtype = dtype, .quantize = form, .quantised_file = file, .slots = 2});
    };
    Engine made = open("");
    CHECK((made.dtype() == at::kBFloat16));
    REQUIRE(made.damage());
    const QuantisationDamage& damage = *made.damage();
    CHECK(damage.positions > 40);
    const double expected = std::string(form) == "int8" ? 0.999 : 0.96;
    CHECK(damage.text_cosine > expected);
    CHECK(damage.audio_cosine > expected);
    CHECK(damage.text_cosine < 1);
    CHECK(damage.text_agreement > 0.5);
    CHECK(damage.audio_agreement > 0.5);

    const auto written = std::filesystem::last_write_time(file);
    Engine read = open("");
    CHECK(std::filesystem::last_write_time(file) == written);
    CHECK(ToJson(*read.damage()) == ToJson(damage));
    const Rendered alone = Render(read, 0, false);
    CHECK((Render(made, 0, false) == alone));
    CHECK((Render(read, 1, true) == alone));
    Engine wide = open("f32");
    CHECK((wide.dtype() == at::kFloat));
    CHECK(Render(wide, 0, false).tokens.size() == alone.tokens.size());
  }
  // A slot for a dialogue of two steps, and no file.
  CHECK(Engine(TinyFiles(), ModelConfig::Read(test::TinyModel("config.json")),
               EngineOptions{.quantize = "int8", .max_steps = 2})
            .damage());
  CHECK_THROWS_AS(Engine(TinyFiles(), ModelConfig::Read(test::TinyModel("config.json")),
                         EngineOptions{.quantize = "int3"}),
                  base::Error);
}

TEST_CASE("what --quantize means on a device") {
  using kernels::WeightForm;
  const at::Device gpu(at::kCUDA, 1);
  CHECK((MatrixForm(at::kCPU, at::kFloat, "") == WeightForm::kF32));
  CHECK((MatrixForm(at::kCPU, at::kBFloat16, "") == WeightForm::kBf16));
  CHECK((MatrixForm(at::kCPU, at::kBFloat16, "int8") == WeightForm::kInt8));
  CHECK((MatrixForm(at::kCPU, at::kFloat, "int4") == WeightForm::kInt4));
  CHECK_FALSE(MatrixForm(gpu, at::kBFloat16, ""));
  CHECK((MatrixForm(gpu, at::kBFloat16, "int8") == WeightForm::kInt8));
  const auto refused = [](const at::Device& device, const std::string& quantize) {
    try {
      MatrixForm(device, at::kBFloat16, quantize);
    } catch (const base::Error& error) {
      CHECK(error.code() == base::ErrorCode::kUsage);
      return std::string(error.what());
    }
    return std::string("taken");
  };
  CHECK(refused(gpu, "int4") == "--quantize int4: on the CPU only; a GPU takes int8");
  for (const at::Device& device : {at::Device(at::kCPU), gpu}) {
    CHECK(refused(device, "int3") == "--quantize int3: expected int8 or int4");
  }
}

TEST_CASE("what quantised tensors cost is measured against matrices left on the host") {
  const auto file = weights::SafetensorsFile::Open(test::TinyModel("model.safetensors"));
  const lm::LmConfig config = ModelConfig::Read(test::TinyModel("config.json")).lm;
  const auto model = [&](const nn::WeightLoader::Options& options) {
    nn::WeightLoader loader(file, options);
    lm::LmModel made(config, loader);
    loader.Finish();
    return made;
  };
  const lm::LmModel quantised = model({.dtype = at::kBFloat16, .int8 = true});
  const lm::LmModel resident = model({.dtype = at::kBFloat16});
  const QuantisationDamage damage =
      MeasureDamage(quantised, model({.dtype = at::kBFloat16, .matrices_on_host = true}), "bf16");
  CHECK(ToJson(damage) == ToJson(MeasureDamage(quantised, resident, "bf16")));
  CHECK(damage.text_cosine > 0.999);
  CHECK(damage.audio_cosine > 0.999);
  CHECK(damage.audio_cosine < 1);
  CHECK(MeasureDamage(resident, resident, "bf16").audio_agreement == 1);
}

TEST_CASE("what quantising costs is found again in its text, and nothing in other texts") {
  const QuantisationDamage damage{.positions = 3,
                                  .reference = "bf16",
                                  .text_cosine = 0.5,
                                  .audio_cosine = 0.25,
                                  .text_agreement = 1,
                                  .audio_agreement = 0.75};
  const auto parsed = ParseDamage(ToJson(damage).dump());
  REQUIRE(parsed);
  CHECK(ToJson(*parsed) == ToJson(damage));
  for (const char* text : {"", "{}", "[]", "null", R"({"positions": "many"})"}) {
    CHECK_FALSE(ParseDamage(text));
  }
}

TEST_CASE("codecs in pieces give what they give frame by frame") {
  Engine engine = TinyEngine(2);
  const std::vector<float> user = User(engine.config());
  const auto samples = static_cast<size_t>(engine.config().mimi.frame_samples());
  engine.Start(0, {.seed = 1});
  engine.Start(1, {.seed = 1});
  const auto whole = engine.Encode(0, user);
  std::vector<std::vector<int32_t>> framewise;
  for (size_t frame = 0; frame < kFrames; ++frame) {
    framewise.push_back(
        engine.Encode(1, std::span(user).subspan(frame * samples, samples)).front());
  }
  CHECK((whole == framewise));

  std::vector<lm::FrameTokens> tokens;
  for (const auto& codes : whole) {
    lm::FrameTokens row(static_cast<size_t>(engine.config().lm.streams()), 0);
    std::copy(codes.begin(), codes.end(), row.begin() + 1);
    tokens.push_back(row);
  }
  const std::vector<float> at_once = engine.Decode(0, tokens);
  std::vector<float> pieces;
  for (size_t frame = 0; frame < kFrames; ++frame) {
    const auto pcm = engine.Decode(1, std::span(tokens).subspan(frame, 1));
    pieces.insert(pieces.end(), pcm.begin(), pcm.end());
  }
  CHECK((at_once == pieces));
  CHECK_THROWS_AS(engine.Encode(0, std::span(user).first(samples - 1)), base::Error);
}

TEST_CASE("a kept prompt starts a dialogue as the prompt itself does") {
  SystemPrompt spoken;
  spoken.text_tokens = {5, 6, 7, 8, 9};
  SystemPrompt other = spoken;
  other.text_tokens.push_back(4);
  const auto a = std::make_shared<const SystemPrompt>(spoken);
  const auto b = std::make_shared<const SystemPrompt>(other);
  const auto first_tokens = [&](Engine& engine, int slot, const auto& prompt) {
    const int64_t steps = engine.Start(slot, {.prompt = prompt, .seed = 2});
    CHECK(steps == PromptStepCount(*prompt, engine.config().lm, 12.5));
    const auto codes = engine.Encode(slot, User(engine.config()));
    std::vector<lm::FrameTokens> tokens;
    for (const auto& frame : codes) {
      std::vector<CodesInput> rows(static_cast<size_t>(engine.slots()));
      rows[static_cast<size_t>(slot)] = {.slot = slot, .codes = frame};
      tokens.push_back(*engine.StepCodes(rows)[static_cast<size_t>(slot)]);
    }
    return tokens;
  };
  Engine computed = TinyEngine(2);
  Engine kept = TinyEngine(2, /*prompts_kept=*/1);
  const auto of_a = first_tokens(computed, 0, a);
  const auto of_b = first_tokens(computed, 0, b);
  CHECK((of_a != of_b));
  CHECK((first_tokens(kept, 0, a) == of_a));
  CHECK((first_tokens(kept, 1, a) == of_a));  // from what was kept
  CHECK((first_tokens(kept, 0, b) == of_b));  // pushes the other out
  CHECK((first_tokens(kept, 1, a) == of_a));
  // Slots that are as long as the dialogue takes, and longer.
  const int64_t frames = std::ssize(of_a);
  const int64_t steps = PromptStepCount(*a, kept.config().lm, 12.5) + frames;
  kept.Resize({steps, 0});
  CHECK((first_tokens(kept, 0, a) == of_a));
  CHECK((first_tokens(kept, 1, a) == of_a));
  CHECK(kept.BytesPerSlot(steps) < kept.BytesPerSlot(0));
  kept.Resize({steps - 4, 1});
  CHECK_THROWS_AS(first_tokens(kept, 0, a), base::Error);
  CHECK_THROWS_AS(kept.Start(1, {.prompt = a}), base::Error);  // kept, and too long
}

TEST_CASE("more slots than memory: an error that a smaller batch may mend") {
  // Keys and values of all slots would not fit into the address space.
  constexpr int kContext = 1 << 28;
  Engine engine(TinyFiles(), ModelConfig::Read(test::TinyModel("config.json"), kContext),
                EngineOptions{.dtype = "f32", .max_steps = 64});
  CHECK(engine.BytesPerSlot(0) > kContext);
  const Rendered before = Render(engine, 0, false);
  try {
    engine.Resize(std::vector<int64_t>(1 << 20, 0));
    FAIL("a petabyte was had");
  } catch (const base::Error& error) {
    CHECK(error.code() == base::ErrorCode::kOutOfMemory);
  }
  engine.Resize({64});
  CHECK((Render(engine, 0, false) == before));
}

}  // namespace
}  // namespace ppx::engine
