// The language model against the reference implementation, every token provided.
#include <map>

#include "engine/engine.h"
#include "lm/lm_model.h"
#include "support/golden_files.h"
#include "support/tolerance.h"

namespace ppx::test {
namespace {

struct Forced {
  std::map<std::string, at::Tensor> values;  // one row a step that ran
  std::vector<lm::FrameTokens> tokens;
};

// Steps the forced tokens through slot `slot` of `slots`, on rows padded to `rows`.
Forced RunForced(at::ScalarType dtype, int slots = 1, int slot = 0, size_t rows = 1) {
  const engine::ModelConfig config = engine::ModelConfig::Read(TinyModel("config.json"));
  nn::WeightLoader loader(weights::SafetensorsFile::Open(TinyModel("model.safetensors")),
                          {.device = at::kCPU, .dtype = dtype});
  const lm::LmModel model(config.lm, loader);
  loader.Finish();
  lm::LmState state = model.NewState(slots);
  const at::Tensor forced = Golden("lm.forced_tokens").contiguous();
  std::map<std::string, std::vector<at::Tensor>> seen;
  Forced result;
  const auto row = static_cast<int64_t>(rows) - 1;
  for (int64_t column = 0; column < forced.size(1); ++column) {
    const auto token = [&](int64_t stream) { return forced[stream][column].item<int32_t>(); };
    std::vector<lm::StepInput> inputs(rows);
    lm::StepInput& input = inputs.back();
    input.slot = slot;
    input.text = token(0);
    for (int k = 0; k < config.lm.codebooks(); ++k) {
      input.agent.push_back(token(1 + k));
      input.user.push_back(token(1 + config.lm.codebooks() + k));
    }
    const auto frames = model.Step(
        inputs, state,
        [&](std::string_view name, const at::Tensor& value) {
          seen[std::string(name)].push_back(value.narrow(0, row, 1).to(at::kFloat).clone());
        },
        /*compute_all=*/true);
    if (frames.back()) result.tokens.push_back(*frames.back());
  }
  for (const auto& [name, values] : seen) result.values[name] = at::cat(values, 0);
  return result;
}

void CheckForced(const Forced& forced, double relative) {
  const at::Tensor audio = Golden("lm.forced_audio_logits");  // [68, 16, card], t = 2 ..
  CheckClose(forced.values.at("lm.transformer_out"), Golden("lm.forced_transformer_out"), relative);
  CheckClose(forced.values.at("lm.text_logits"), Golden("lm.forced_text_logits"), relative);
  const at::Tensor steps = forced.values.at("lm.audio_logits");
  CheckClose(steps.narrow(0, 1, steps.size(0) - 1), audio.narrow(1, 0, steps.size(1)), relative);
}

TEST_CASE("forced tokens: hidden states, logits and output tokens in float32") {
  const Forced forced = RunForced(at::kFloat);
  CheckForced(forced, 1e-4);
  const at::Tensor expected = Golden("lm.forced_out_tokens").contiguous();
  REQUIRE(static_cast<int64_t>(forced.tokens.size()) == expected.size(0));
  for (size_t row = 0; row < forced.tokens.size(); ++row) {
    for (size_t stream = 0; stream < forced.tokens[row].size(); ++stream) {
      CHECK(forced.tokens[row][stream] ==
            expected[static_cast<int64_t>(row)][static_cast<int64_t>(stream)].item<int32_t>());
    }
  }
}

TEST_CASE("forced tokens: another slot among padding rows gives the same") {
  CheckForced(RunForced(at::kFloat, /*slots=*/3, /*slot=*/2, /*rows=*/4), 1e-4);
}

TEST_CASE("forced tokens: bfloat16 stays near float32") {
  // A bfloat16 has 8 bits: 2^-9 = 0.002 relative error a rounding, and a value passes some 30
  // roundings on its way through 3 + 2 layers: 0.002 * sqrt(30) = 0.011, and the worst of 100 000
  // values lies at 4 standard deviations.
  CheckForced(RunForced(at::kBFloat16), 0.045);
}

}  // namespace
}  // namespace ppx::test
