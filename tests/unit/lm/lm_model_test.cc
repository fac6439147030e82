#include "lm/lm_model.h"

#include "base/error.h"

#include "support/random_lm.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::lm {
namespace {

using test::CheckClose;

std::vector<int32_t> UserTokens(const LmConfig& config, int dialogue, int64_t frame) {
  std::vector<int32_t> tokens;
  for (int k = 0; k < config.codebooks(); ++k) {
    tokens.push_back(static_cast<int32_t>((7 * frame + 3 * k + 5 * dialogue) % config.card));
  }
  return tokens;
}

SlotSettings Settings(int dialogue) {
  return {.sampling = {.greedy = dialogue == 1},
          .random = {.seed = 5, .dialogue = DialogueKey(std::to_string(dialogue))},
          .first_step = 0};
}

std::vector<FrameTokens> RunAlone(const LmModel& model, int dialogue, int64_t frames, int slots,
                                  size_t rows) {
  LmState state = model.NewState(slots);
  state.settings[0] = Settings(dialogue);
  std::vector<FrameTokens> output;
  for (int64_t frame = 0; frame < frames; ++frame) {
    std::vector<StepInput> inputs(rows);
    inputs[0] = {.slot = 0, .user = UserTokens(model.config(), dialogue, frame)};
    const auto tokens = model.Step(inputs, state)[0];
    if (tokens) output.push_back(*tokens);
  }
  return output;
}

TEST_CASE("logits of given tokens are those of the steps that gave them") {
  test::Seed(14);
  const LmConfig config = test::SmallLmConfig();
  const LmModel model = test::MakeLm(config, test::RandomLmTensors(config, 8));
  constexpr int64_t kSteps = 9;
  LmState state = model.NewState(2);
  const at::Tensor tokens = at::empty({2, kSteps + 1, config.streams()}, at::kLong);
  std::vector<at::Tensor> text;   // [2, text_card] a step
  std::vector<at::Tensor> audio;  // [2, depth steps, card]
  for (int64_t time = 0; time <= kSteps; ++time) {
    std::vector<StepInput> inputs;
    for (int slot = 0; slot < 2; ++slot) {
      inputs.push_back({.slot = slot, .user = UserTokens(config, slot, time)});
    }
    model.Step(inputs, state, [&](std::string_view name, const at::Tensor& value) {
      if (name == "lm.text_logits") text.push_back(value);
      if (name == "lm.audio_logits") audio.push_back(value);
    });
    for (int64_t slot = 0; slot < 2; ++slot) {
      const FrameTokens now = state.tokens[static_cast<size_t>(slot)].Input();
      for (size_t stream = 0; stream < now.size(); ++stream) {
        tokens[slot][time][static_cast<int64_t>(stream)] = now[stream];
      }
    }
  }
  const LmModel::Logits logits = model.LogitsOf(tokens);
  CheckClose(logits.text, at::stack(text, 1).flatten(0, 1));
  CheckClose(logits.audio, at::stack(audio, 1).flatten(0, 1));
}

TEST_CASE("a dialogue's tokens do not depend on its slot or its neighbours") {
  test::Seed(13);
  const LmConfig config = test::SmallLmConfig();
  const LmModel model = test::MakeLm(config, test::RandomLmTensors(config, 8));
  const int64_t frames = 40;  // the window of 24 wraps
  std::vector<std::vector<FrameTokens>> alone;
  for (int dialogue = 0; dialogue < 3; ++dialogue) {
    alone.push_back(RunAlone(model, dialogue, frames, 3, 3));
    CHECK(alone.back().size() == static_cast<size_t>(frames - 2));
  }
  CHECK(alone[0] != alone[2]);  // they are really different

  // All at once, in other slots, each beginning at another time; slot 2 is used twice.
  LmState state = model.NewState(3);
  const int slot_of[3] = {2, 0, 1};
  const int64_t start_of[3] = {0, 4, 9};
  std::vector<std::vector<FrameTokens>> together(3);
  std::vector<FrameTokens> again;
  state.settings[2] = Settings(0);
  state.settings[0] = Settings(1);
  state.settings[1] = Settings(2);
  for (int64_t time = 0; time < 100; ++time) {
    if (time == frames) {
      state.Reset(2);
      state.settings[2] = Settings(0);
    }
    std::vector<StepInput> inputs(3);
    std::vector<int> dialogue_of_row(3, -1);
    for (int dialogue = 0; dialogue < 3; ++dialogue) {
      int64_t frame = time - start_of[dialogue];
      if (dialogue == 0 && time >= frames) frame -= frames;
      if (frame < 0 || frame >= frames) continue;
      const auto row = static_cast<size_t>((dialogue + time) % 3);
      inputs[row] = {.slot = slot_of[dialogue], .user = UserTokens(config, dialogue, frame)};
      dialogue_of_row[row] = dialogue;
    }
    const auto outputs = model.Step(inputs, state);
    for (size_t row = 0; row < 3; ++row) {
      if (!outputs[row]) continue;
      const int dialogue = dialogue_of_row[row];
      (dialogue == 0 && time >= frames ? again : together[static_cast<size_t>(dialogue)])
          .push_back(*outputs[row]);
    }
  }
  for (size_t dialogue = 0; dialogue < 3; ++dialogue) CHECK(together[dialogue] == alone[dialogue]);
  CHECK(again == alone[0]);
}

// The matrices that are multiplied with, as they are in int8; tables and norms as they were.
std::map<std::string, at::Tensor> MatricesInInt8(std::map<std::string, at::Tensor> tensors) {
  for (auto& [name, tensor] : tensors) {
    if (tensor.dim() != 2 || name.find("emb") != std::string::npos) continue;
    const at::Tensor weight = tensor.contiguous();
    const kernels::PackedMatrix packed(
        kernels::WeightForm::kInt8,
        {.data = weight.const_data_ptr(), .outputs = weight.size(0), .inputs = weight.size(1)});
    tensor = at::empty_like(weight);
    for (int64_t row = 0; row < weight.size(0); ++row) {
      packed.Unpack(row, tensor[row].data_ptr<float>());
    }
  }
  return tensors;
}

TEST_CASE("quantised tensors give the steps of the matrices that they stand for") {
  test::Seed(16);
  const LmConfig config = test::SmallLmConfig();
  const auto tensors = test::RandomLmTensors(config, 8);
  const auto in_int8 = MatricesInInt8(tensors);
  const auto logits = [&](const LmModel& model) {
    LmState state = model.NewState(2);
    std::vector<at::Tensor> all;
    for (int64_t frame = 0; frame < 30; ++frame) {
      // Every token is given, so that one that falls otherwise changes nothing after it.
      const auto input = [&](int slot) -> StepInput {
        return {.slot = slot,
                .user = UserTokens(config, slot, frame),
                .agent = UserTokens(config, slot, frame + 1),
                .text = 3};
      };
      const std::vector<StepInput> inputs{input(0), input(1)};
      const nn::DebugTap tap = [&](std::string_view, const at::Tensor& value) {
        all.push_back(value.to(at::kFloat).flatten());
      };
      model.Step(inputs, state, tap, /*compute_all=*/true);
    }
    return at::cat(all);
  };
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor expected = logits(test::MakeLm(config, in_int8, {}, {.dtype = dtype}));
    for (const bool offload : {false, true}) {
      const LmModel quantised =
          test::MakeLm(config, tensors, {.offload = offload}, {.dtype = dtype, .int8 = true});
      CHECK(at::equal(logits(quantised), expected));
    }
    // The CPU's kernels round the activations too.
    const at::Tensor packed = logits(
        test::MakeLm(config, tensors, {}, {.dtype = dtype, .form = kernels::WeightForm::kInt8}));
    CHECK_FALSE(at::equal(packed, expected));
    CHECK(at::cosine_similarity(packed, expected, 0).item<double>() > 0.995);
    // And the weights in int8 are not the weights.
    CHECK_FALSE(at::equal(logits(test::MakeLm(config, tensors, {}, {.dtype = dtype})), expected));
  }
}

TEST_CASE("a copied slot goes on as its source") {
  test::Seed(14);
  const LmConfig config = test::SmallLmConfig();
  const LmModel model = test::MakeLm(config, test::RandomLmTensors(config, 8));
  LmState source = model.NewState(1);
  source.settings[0] = Settings(1);
  for (int64_t frame = 0; frame < 6; ++frame) {
    const StepInput input{.slot = 0, .user = UserTokens(config, 1, frame)};
    model.Step(std::span(&input, 1), source);
  }
  LmState copy = model.NewState(2);
  copy.Restore(source.Save(0), 1);
  copy.settings[1] = Settings(1);
  for (int64_t frame = 6; frame < 20; ++frame) {
    const StepInput a{.slot = 0, .user = UserTokens(config, 1, frame)};
    const StepInput b{.slot = 1, .user = UserTokens(config, 1, frame)};
    CHECK((model.Step(std::span(&a, 1), source) == model.Step(std::span(&b, 1), copy)));
  }
}

TEST_CASE("provided tokens come out as given, and skip what they make needless") {
  test::Seed(15);
  LmConfig config = test::SmallLmConfig();
  config.delays = {0, 0, 2, 1, 2, 0, 2, 1, 2};
  const LmModel model = test::MakeLm(config, test::RandomLmTensors(config, 8));
  LmState state = model.NewState(1);
  std::map<std::string, int> seen;
  const nn::DebugTap tap = [&](std::string_view name, const at::Tensor&) {
    ++seen[std::string(name)];
  };
  for (int64_t frame = 0; frame < 10; ++frame) {
    const StepInput input{.slot = 0,
                          .user = UserTokens(config, 0, frame),
                          .agent = UserTokens(config, 1, frame),
                          .text = static_cast<int32_t>(frame)};
    const auto output = model.Step(std::span(&input, 1), state, tap)[0];
    CHECK(output.has_value() == (frame > 2));
    if (!output) continue;
    CHECK((*output)[0] == frame - 2);
    for (int k = 0; k < config.codebooks(); ++k) {
      const auto i = static_cast<size_t>(k);
      CHECK((*output)[1 + i] == UserTokens(config, 1, frame - 2)[i]);
      CHECK((*output)[5 + i] == UserTokens(config, 0, frame - 2)[i]);
    }
  }
  CHECK(seen["lm.transformer_out"] == 9);
  CHECK(seen.count("lm.text_logits") == 0);
  CHECK(seen.count("lm.audio_logits") == 0);
}

TEST_CASE("an input of -1 adds nothing to the embedding sum") {
  test::Seed(16);
  const LmConfig config = test::SmallLmConfig();
  auto tensors = test::RandomLmTensors(config, 8);
  tensors["emb.4.weight"][3].zero_();
  tensors["text_emb.weight"][6].zero_();
  const LmModel model = test::MakeLm(config, tensors);
  test::CheckEqual(model.EmbedInputs({{-1, 1, 2, 3, 4, -1, 6, 7, 8}}),
                   model.EmbedInputs({{6, 1, 2, 3, 4, 3, 6, 7, 8}}));
}

TEST_CASE("keys and values sized by the dialogue change nothing") {
  test::Seed(17);
  const LmConfig config = test::SmallLmConfig();
  const LmModel model = test::MakeLm(config, test::RandomLmTensors(config, 8));
  const auto expected = RunAlone(model, 0, 15, 1, 1);
  // The first step of a dialogue runs no model.
  LmState state = model.NewState(std::vector<int64_t>{3, 14, 0});
  CHECK(model.StateBytesPerSlot(14) < model.StateBytesPerSlot());
  state.settings[1] = Settings(0);
  std::vector<FrameTokens> output;
  for (int64_t frame = 0; frame < 15; ++frame) {
    const StepInput input{.slot = 1, .user = UserTokens(config, 0, frame)};
    const auto tokens = model.Step(std::span(&input, 1), state)[0];
    if (tokens) output.push_back(*tokens);
  }
  CHECK(output == expected);
  const StepInput more{.slot = 1, .user = UserTokens(config, 0, 15)};
  CHECK_THROWS_AS(model.Step(std::span(&more, 1), state), base::Error);
}

}  // namespace
}  // namespace ppx::lm
