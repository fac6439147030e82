#include "engine/quantisation.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"

namespace ppx::engine {
namespace {

constexpr int kDialogues = 4;
constexpr int kFrames = 12;

// The model with itself: half of the users hum, half are silent, all agents draw other tokens. The
// streams' tokens over time, [dialogues, frames + 1, streams], as LmModel::LogitsOf takes them.
at::Tensor Speak(const lm::LmModel& model) {
  const lm::LmConfig& config = model.config();
  lm::LmState state = model.NewState(std::vector<int64_t>(kDialogues, kFrames));
  std::vector<lm::StepInput> inputs(kDialogues);
  for (int i = 0; i < kDialogues; ++i) {
    auto& input = inputs[static_cast<size_t>(i)];
    input.slot = i;
    input.user = i % 2 == 0 ? config.sine_tokens : config.silence_tokens;
    state.settings[static_cast<size_t>(i)].random.dialogue = static_cast<uint64_t>(i);
  }
  const at::Tensor tokens = at::empty({kDialogues, kFrames + 1, config.streams()}, at::kLong);
  auto cells = tokens.accessor<int64_t, 3>();
  for (int time = 0; time <= kFrames; ++time) {
    model.Step(inputs, state);  // the first one only starts up
    for (int i = 0; i < kDialogues; ++i) {
      const lm::FrameTokens now = state.tokens[static_cast<size_t>(i)].Input();
      for (size_t stream = 0; stream < now.size(); ++stream) {
        cells[i][time][static_cast<int64_t>(stream)] = now[stream];
      }
    }
  }
  return tokens;
}

double Cosine(const at::Tensor& a, const at::Tensor& b) {
  return at::cosine_similarity(a.to(at::kFloat), b.to(at::kFloat), -1).mean().item<double>();
}

double Agreement(const at::Tensor& a, const at::Tensor& b) {
  return a.argmax(-1).eq(b.argmax(-1)).to(at::kDouble).mean().item<double>();
}

}  // namespace

std::optional<kernels::WeightForm> MatrixForm(const at::Device& device, at::ScalarType dtype,
                                              const std::string& quantize) {
  if (quantize == "int8") return kernels::WeightForm::kInt8;
  if (quantize == "int4") {
    if (!device.is_cpu()) base::ThrowUsage("--quantize int4: on the CPU only; a GPU takes int8");
    return kernels::WeightForm::kInt4;
  }
  if (!quantize.empty()) base::ThrowUsage("--quantize " + quantize + ": expected int8 or int4");
  if (!device.is_cpu()) return std::nullopt;
  return dtype == at::kFloat ? kernels::WeightForm::kF32 : kernels::WeightForm::kBf16;
}

QuantisationDamage MeasureDamage(const lm::LmModel& quantised, const lm::LmModel& reference,
                                 std::string reference_type, const std::function<void()>& release) {
  const at::Tensor tokens = Speak(quantised);
  const lm::LmModel::Logits ours = quantised.LogitsOf(tokens);
  const lm::LmModel::Logits theirs = reference.LogitsOf(tokens, release);
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
