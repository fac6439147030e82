#include "lm/lm_config.h"

#include "base/error.h"
#include "support/doctest_torch.h"

namespace ppx::lm {
namespace {

LmConfig Parse(const nlohmann::json& json) { return LmConfig::FromJson({json, "config.json"}); }

TEST_CASE("an empty configuration is the released model") {
  const LmConfig config = Parse(nlohmann::json::object());
  CHECK(config.dim == 4096);
  CHECK(config.hidden() == 11264);
  CHECK(config.depformer_hidden() == 2816);
  CHECK(config.max_delay() == 1);
  CHECK(config.codebooks() == 8);
  CHECK(config.depth_steps() == 8);
  CHECK(config.ring_rule == nn::RingRule::kMaskNextSlot);
}

TEST_CASE("a feed-forward of four times the width has its own gate width") {
  CHECK(Parse({{"hidden_scale", 4.0}, {"dim", 64}, {"num_heads", 4}}).hidden() ==
        168);  // 21 * 64 / 8
  CHECK(Parse({{"depformer_dim", 32}, {"depformer_dim_feedforward", 128}}).depformer_hidden() ==
        84);
  CHECK(Parse({{"depformer_dim", 32}, {"depformer_dim_feedforward", 132}}).depformer_hidden() ==
        88);
}

TEST_CASE("Moshi has the other window and no system prompt") {
  const LmConfig config = Parse({{"model_type", "moshi"}});
  CHECK(config.ring_rule == nn::RingRule::kFull);
  CHECK_FALSE(config.system_prompts);
  CHECK(config.dep_q == 8);
}

TEST_CASE("contradictions name the file and the field") {
  const std::vector<std::pair<nlohmann::json, std::string>> cases{
      {{{"dim", "many"}}, "'dim' is not an integer"},
      {{{"dim", -4}}, "'dim'"},
      {{{"num_heads", 7}}, "'num_heads'"},
      {{{"n_q", 7}}, "'n_q'"},
      {{{"n_q", 34}}, "'dep_q'"},
      {{{"dep_q", 4}}, "'dep_q'"},
      {{{"delays", {0, 1}}}, "'delays' has 2 entries"},
      {{{"delays", nlohmann::json::array({0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, -1})}},
       "'delays'"},
      {{{"card", 100}}, "'silence_tokens'"},
      {{{"gating", "gelu"}}, "'gating'"},
      {{{"context", 0}}, "'context'"},
      {{{"context", 1.5}}, "'context'"}};
  for (const auto& [json, part] : cases) {
    CAPTURE(json.dump());
    try {
      Parse(json);
      FAIL("accepted");
    } catch (const base::Error& error) {
      CHECK(error.code() == base::ErrorCode::kBadInput);
      CHECK(std::string(error.what()).find("config.json") == 0);
      CHECK(std::string(error.what()).find(part) != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace ppx::lm
