#include "engine/device.h"

#include <filesystem>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/offline.h"
#include "nn/ring_attention.h"
#include "support/golden_files.h"
#include "support/gpu.h"
#include "support/temp_dir.h"
#include "support/tolerance.h"

namespace ppx::engine {
namespace {

base::ErrorCode CodeOf(const std::string& device) {
  try {
    OpenDevice(device);
  } catch (const base::Error& error) {
    return error.code();
  }
  return base::ErrorCode::kInternal;
}

TEST_CASE("device names") {
  CHECK(OpenDevice("cpu").is_cpu());
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cudax", "CPU"}) {
    CAPTURE(name);
    CHECK(CodeOf(name) == base::ErrorCode::kUsage);
  }
}

TEST_CASE("a device's own name, or its number where that is not known") {
  CHECK(DeviceDescription(at::kCPU) != "");
  CHECK(DeviceDescription(at::Device(at::kCUDA, 127)) == "CUDA device 127");
}

TEST_CASE("precision names") {
  CHECK((ParseDtype("f32") == at::kFloat));
  CHECK((ParseDtype("bf16") == at::kBFloat16));
  CHECK_THROWS_AS(ParseDtype("fp16"), base::Error);
  CHECK(DtypeName(at::kBFloat16) == "bf16");
}

// Runs where a GPU is; elsewhere it says that it did not.
TEST_CASE("on a GPU: the kernel agrees with the plain path, and the golden dialogue comes out") {
  const std::optional<at::Device> gpu = test::OpenGpu();
  if (!gpu) return;
  const at::Device device = *gpu;
  CHECK(nn::CheckRingAttentionCuda(device));
  CHECK_FALSE(DeviceDescription(device).starts_with("CUDA device"));
  for (const bool offload : {false, true}) {
    const ModelConfig config = ModelConfig::Read(test::TinyModel("config.json"));
    EngineOptions options;
    options.device = "cuda";
    options.dtype = "f32";
    options.cpu_offload = offload;
    Engine engine({test::TinyModel("config.json"), test::TinyModel("model.safetensors"),
                   test::TinyModel("mimi.safetensors")},
                  config, options);
    DialogueOptions dialogue;
    dialogue.sampling.greedy = true;
    SystemPrompt system_prompt;
    system_prompt.voice = ReadSavedVoice(test::GoldenFile("voice.pt"), config.lm);
    const at::Tensor prompt = test::Golden("greedy_pt.text_prompt_tokens").contiguous();
    const int32_t* ids = prompt.const_data_ptr<int32_t>();
    system_prompt.text_tokens.assign(ids, ids + prompt.numel());
    dialogue.prompt = std::make_shared<const SystemPrompt>(std::move(system_prompt));
    base::NoProgress progress;
    const std::atomic<bool> interrupt{false};
    const auto result = RenderDialogue(
        engine, ReadDialogueAudio(test::GoldenFile("user.wav"), 0, 0, 0, config.mimi), dialogue,
        Align::kStream, progress, interrupt, nullptr);
    std::vector<int64_t> tokens;
    for (const auto& row : result.tokens) tokens.insert(tokens.end(), row.begin(), row.end());
    test::CheckEqual(at::tensor(tokens).view({-1, 17}), test::Golden("greedy_pt.tokens"));
    test::CheckClose(at::tensor(result.agent), test::Golden("greedy_pt.pcm"));
  }
}

// Runs where a GPU is; elsewhere it says that it did not.
TEST_CASE("on a GPU: int8 costs what it costs, on the host's layers too") {
  const testing::TempDir folder;
  const std::string file = folder.File("w-int8.safetensors");
  EngineOptions options;
  options.device = "cuda";
  options.quantize = "int8";
  options.quantised_file = file;
  const auto open = [&] {
    return Engine({test::TinyModel("config.json"), test::TinyModel("model.safetensors"),
                   test::TinyModel("mimi.safetensors")},
                  ModelConfig::Read(test::TinyModel("config.json")), options);
  };
  if (!test::OpenGpu()) return;
  const Engine engine = open();
  CHECK((engine.form() == kernels::WeightForm::kInt8));
  REQUIRE(engine.damage());
  CHECK(engine.damage()->text_cosine > 0.999);
  CHECK(engine.damage()->audio_cosine > 0.999);
  CHECK_FALSE(std::filesystem::exists(file));  // the CPU's
  const auto notes = folder.File("w-int8.gpu.safetensors");
  const auto written = std::filesystem::last_write_time(notes);
  options.cpu_offload = true;
  const Engine offloaded = open();
  CHECK(std::filesystem::last_write_time(notes) == written);
  CHECK(ToJson(*offloaded.damage()) == ToJson(*engine.damage()));
  const int64_t streams = engine.config().lm.streams();
  const at::Tensor tokens = at::arange(2 * 9 * streams).remainder(16).view({2, 9, streams});
  test::CheckEqual(offloaded.lm().LogitsOf(tokens).audio, engine.lm().LogitsOf(tokens).audio);

  // The numbers of the CPU.
  const auto weights = weights::SafetensorsFile::Open(test::TinyModel("model.safetensors"));
  const std::string name = "text_linear.weight";
  const auto shape = weights->Find(name)->shape;
  const auto take = [&](const at::Device& device) {
    return nn::WeightLoader(weights, {.device = device, .int8 = true}).TakeLinear(name, shape);
  };
  const nn::Linear here = take(at::kCPU);
  const nn::Linear there = take(at::Device(at::kCUDA, 0));
  test::CheckEqual(there.weight(), here.weight());
  test::CheckEqual(there.scales(), here.scales());

  options.quantize = "int4";
  CHECK_THROWS_AS(open(), base::Error);
}

}  // namespace
}  // namespace ppx::engine
