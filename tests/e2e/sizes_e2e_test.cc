// Checkpoints of other sizes: everything comes from config.json.
#include <filesystem>

#include "e2e/offline.h"
#include "support/doctest.h"

namespace ppx::test {
namespace {

constexpr size_t kSamples = 70 * 1920 + 5;  // more frames than any window below

void MakeCheckpoint(const std::string& folder, const std::string& config,
                    const Arguments& more = {}) {
  RunOptions options;
  options.environment["LD_PRELOAD"] = std::nullopt;
  const RunResult made = RunProgram(Arguments{PPX_SOURCE_DIR "/scripts/make-random-checkpoint",
                                              "--config", config, "--out", folder} +
                                        more,
                                    options);
  INFO(Told(made));
  REQUIRE(made.exit_code == 0);
}

// Runs it with a voice, which it must have encoded itself, and returns the rows of the text.
nlohmann::json RunCheckpoint(const Folder& folder, const std::string& model,
                             const Arguments& more = {}) {
  WriteRecording(folder / "in.wav", Noise(kSamples));
  const RunResult run =
      Offline(Arguments{"--model", model, "--input-wav", folder / "in.wav", "--seed", "2",
                        "--voice-prompt", GoldenFile("voice.wav"), "--text-prompt", "You are kind.",
                        "--output-wav", folder / "o.wav", "--output-text", folder / "o.json",
                        "--output-record", folder / "run.json", "--quiet"} +
              more);
  INFO(Told(run));
  REQUIRE(run.exit_code == 0);
  CHECK(ReadSamples(folder / "o.wav").size() == kSamples);
  const auto rows = ReadJson(folder / "o.json");
  CHECK(rows.size() == 71);
  return rows;
}

TEST_CASE("other sizes everywhere") {
  for (const std::vector<int>& ratios :
       {std::vector<int>{5, 4, 4, 4, 3}, std::vector<int>{10, 6, 4, 2}}) {
    CAPTURE(ratios.size());
    const Folder folder;
    auto config = ReadJson(TinyFolder() + "/config.json");
    config["dim"] = 48;
    config["num_heads"] = 4;
    config["num_layers"] = 2;
    config["context"] = 60;
    config["card"] = 50;
    config["depformer_dim"] = 24;
    config["depformer_num_heads"] = 2;
    config["depformer_dim_feedforward"] = 99;
    config["delays"] = {0, 0, 2, 2, 1, 2, 2, 2, 2, 0, 2, 2, 2, 2, 2, 2, 2};
    config["silence_tokens"] = {1, 49, 0, 3, 4, 5, 6, 7};
    config["sine_tokens"] = {9, 8, 7, 6, 5, 4, 3, 2};
    auto& seanet = config["mimi"]["seanet"];
    seanet["ratios"] = ratios;
    seanet["n_residual_layers"] = 2;
    seanet["dilation_base"] = 3;
    config["mimi"]["quantizer"]["bins"] = 50;
    config["mimi"]["quantizer"]["n_q"] = 9;
    config["mimi"]["transformer"]["context"] = 13;
    config["mimi"]["transformer"]["num_heads"] = 2;
    WriteBytes(folder / "config.json", config.dump());
    MakeCheckpoint(folder / "model", folder / "config.json");
    RunCheckpoint(folder, folder / "model");
    const auto record = ReadJson(folder / "run.json");
    CHECK(record.at("context_frames") == 60);

    if (ratios.size() != 4) continue;
    // A voice that was saved with the bundled model does not fit this one.
    const RunResult refused =
        Offline({"--model", folder / "model", "--input-wav", folder / "in.wav", "--voice-prompt",
                 GoldenFile("voice.pt"), "--output-wav", folder / "never.wav"});
    INFO(Told(refused));
    CHECK(refused.exit_code == 3);
    CHECK(refused.err.rfind("ppx-offline: " + GoldenFile("voice.pt"), 0) == 0);
    CHECK(!std::filesystem::exists(folder / "never.wav"));
  }
}

TEST_CASE("eight steps of the depth transformer are completed to sixteen") {
  const Folder folder;
  const std::string config = TinyFolder() + "/config.json";
  MakeCheckpoint(folder / "eight", config, {"--depth-steps", "8"});
  RunCheckpoint(folder, folder / "eight");
}

TEST_CASE("a window that is given on the command line") {
  const Folder folder;
  const auto narrow = RunCheckpoint(folder, TinyFolder(), {"--context", "20"});
  CHECK(ReadJson(folder / "run.json").at("context_frames") == 20);
  const auto wide = RunCheckpoint(folder, TinyFolder(), {"--context", "500"});
  CHECK(ReadJson(folder / "run.json").at("warnings").empty() == false);  // clipped samples
  CHECK(narrow != wide);
}

}  // namespace
}  // namespace ppx::test
