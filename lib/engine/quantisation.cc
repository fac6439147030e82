#include "engine/quantisation.h"

#include <cmath>
#include <utility>
#include <vector>

namespace ppx::engine {
namespace {

constexpr int kDialogues = 4;
constexpr int kFrames = 12;

using Frames = std::vector<std::vector<lm::FrameTokens>>;  // [dialogue][frame]

// The model with itself: half of the users hum, half are silent, all agents draw other tokens.
Frames Speak(const lm::LmModel& model) {
  const lm::LmConfig& config = model.config();
  lm::LmState state = model.NewState(kDialogues);
  std::vector<lm::StepInput> inputs(kDialogues);
  for (int i = 0; i < kDialogues; ++i) {
    auto& input = inputs[static_cast<size_t>(i)];
    input.slot = i;
    input.user = i % 2 == 0 ? config.sine_tokens : config.silence_tokens;
    state.settings[static_cast<size_t>(i)].random.dialogue = static_cast<uint64_t>(i);
  }
  Frames frames(kDialogues);
  while (static_cast<int>(frames.front().size()) < kFrames) {
    const auto spoken = model.Step(inputs, state);
    for (size_t i = 0; i < spoken.size(); ++i) {
      if (spoken[i]) frames[i].push_back(*spoken[i]);
    }
  }
  return frames;
}

struct Logits {
  at::Tensor text;   // [positions, text_card] f32
  at::Tensor audio;  // [positions * codebooks, card] f32
};

Logits Listen(const lm::LmModel& model, const Frames& frames) {
  const auto codebooks = static_cast<int64_t>(model.config().codebooks());
  lm::LmState state = model.NewState(kDialogues);
  std::vector<at::Tensor> text;
  std::vector<at::Tensor> audio;
  for (size_t frame = 0; frame < frames.front().size(); ++frame) {
    std::vector<lm::StepInput> inputs;
    for (size_t i = 0; i < frames.size(); ++i) {
      const lm::FrameTokens& tokens = frames[i][frame];
      const auto agent = tokens.begin() + 1;
      inputs.push_back({.slot = static_cast<int>(i),
                        .user = {agent + codebooks, agent + 2 * codebooks},
                        .agent = {agent, agent + codebooks},
                        .text = tokens.front()});
    }
    model.Step(
        inputs, state,
        [&](std::string_view name, const at::Tensor& value) {
          if (name == "lm.text_logits") text.push_back(value.to(at::kFloat));
          if (name == "lm.audio_logits") audio.push_back(value.to(at::kFloat).flatten(0, 1));
        },
        /*compute_all=*/true);
  }
  return {at::cat(text), at::cat(audio)};
}

double Cosine(const at::Tensor& a, const at::Tensor& b) {
  return at::cosine_similarity(a, b, -1).mean().item<double>();
}

double Agreement(const at::Tensor& a, const at::Tensor& b) {
  return a.argmax(-1).eq(b.argmax(-1)).to(at::kDouble).mean().item<double>();
}

}  // namespace

QuantisationDamage MeasureDamage(const lm::LmModel& quantised, const lm::LmModel& reference,
                                 std::string reference_type) {
  const Frames frames = Speak(quantised);
  const Logits ours = Listen(quantised, frames);
  const Logits theirs = Listen(reference, frames);
  return {.positions = static_cast<int>(ours.text.size(0)),
          .reference = std::move(reference_type),
          .text_cosine = Cosine(ours.text, theirs.text),
          .audio_cosine = Cosine(ours.audio, theirs.audio),
          .text_agreement = Agreement(ours.text, theirs.text),
          .audio_agreement = Agreement(ours.audio, theirs.audio)};
}

nlohmann::ordered_json ToJson(const QuantisationDamage& damage) {
  const auto rounded = [](double x) { return std::round(x * 1e5) / 1e5; };
  return {{"reference", damage.reference},
          {"positions", damage.positions},
          {"text_logit_cosine", rounded(damage.text_cosine)},
          {"audio_logit_cosine", rounded(damage.audio_cosine)},
          {"text_token_agreement", rounded(damage.text_agreement)},
          {"audio_token_agreement", rounded(damage.audio_agreement)}};
}

std::optional<QuantisationDamage> ParseDamage(const std::string& json) {
  try {
    const auto fields = nlohmann::json::parse(json);
    return QuantisationDamage{.positions = fields.at("positions").get<int>(),
                              .reference = fields.at("reference").get<std::string>(),
                              .text_cosine = fields.at("text_logit_cosine").get<double>(),
                              .audio_cosine = fields.at("audio_logit_cosine").get<double>(),
                              .text_agreement = fields.at("text_token_agreement").get<double>(),
                              .audio_agreement = fields.at("audio_token_agreement").get<double>()};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace ppx::engine
