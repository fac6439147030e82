#include "engine/system_prompt.h"

#include "support/doctest_torch.h"

namespace ppx::engine {
namespace {

TEST_CASE("the phases have the lengths and the tokens of the description") {
  const lm::LmConfig config;  // the released model
  SystemPrompt prompt;
  prompt.voice.codes = {{1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1}};
  prompt.text_tokens = {10, 11, 12};
  CHECK(SilenceFrames(12.5) == 6);
  CHECK(PromptStepCount(prompt, config, 12.5) == 2 + 6 + 3 + 6);

  const auto voice = VoiceSteps(prompt.voice, 4, config);
  REQUIRE(voice.size() == 2);
  CHECK(voice[1].slot == 4);
  CHECK((voice[1].agent == prompt.voice.codes[1]));
  CHECK(*voice[1].text == 3);
  CHECK((voice[1].user == std::vector<int32_t>{430, 1268, 381, 1611, 1095, 1495, 56, 472}));

  const auto text = TextSteps(prompt.text_tokens, 4, config, 12.5);
  REQUIRE(text.size() == 15);
  for (size_t i = 0; i < text.size(); ++i) {
    CHECK(*text[i].text == (i < 6 || i > 8 ? 3 : static_cast<int32_t>(4 + i)));
    CHECK((text[i].agent == std::vector<int32_t>{948, 243, 1178, 546, 1736, 1030, 1978, 2008}));
  }
}

TEST_CASE("an empty prompt is silence only, and a family without prompts has none") {
  lm::LmConfig config;
  CHECK(PromptStepCount({}, config, 12.5) == 12);
  config.system_prompts = false;
  CHECK(PromptStepCount({}, config, 12.5) == 0);
}

TEST_CASE("the start-up step feeds nothing, every other one what came before it") {
  const lm::LmConfig config;
  lm::TokenCache cache(config);
  const auto steps = TextSteps({7}, 0, config, 12.5);
  const auto inputs = PromptInputs(steps, cache);
  REQUIRE(inputs.size() == steps.size() - 1);
  CHECK(inputs[0][0] == config.text_card);  // time 0 holds initial tokens
  CHECK(inputs[0][1] == config.card);
  CHECK(inputs[2][1] == 948);
  CHECK(inputs[2][9] == 430);
  CHECK(cache.offset() == static_cast<int64_t>(steps.size()));
}

}  // namespace
}  // namespace ppx::engine
