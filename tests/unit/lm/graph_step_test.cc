// The recorded step against the plain one: the whole program run on the host everywhere, and the
// CUDA graph where a GPU is.
#include "lm/cuda/graph_step.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <functional>
#include <stdexcept>

#include "base/error.h"
#include "engine/engine.h"
#include "lm/lm_model.h"
#include "support/golden_files.h"
#include "support/gpu.h"
#include "support/host_runner.h"
#include "support/random_lm.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::lm {
namespace {

LmModel Load(const LmConfig& config, std::shared_ptr<const weights::SafetensorsFile> file,
             const nn::WeightLoader::Options& options) {
  at::set_num_threads(1);  // a second one costs more than the small sums of these models
  static std::vector<std::shared_ptr<const weights::SafetensorsFile>> files;
  files.push_back(std::move(file));  // which tensors may lie in
  nn::WeightLoader loader(files.back(), options);
  LmModel model(config, loader);
  loader.Finish();
  return model;
}

// Random weights. Every tensor is stored in a type that loading converts, so that it gets aligned
// memory of its own instead of a place in the mapped file.
LmModel MakeModel(const LmConfig& config, at::ScalarType dtype, at::Device device = at::kCPU) {
  auto tensors = test::RandomLmTensors(config, config.dep_q);
  for (auto& [name, tensor] : tensors) {
    const bool norm = name.find("norm") != std::string::npos;
    tensor = tensor.to(norm || dtype == at::kFloat ? at::kBFloat16 : at::kFloat);
  }
  return Load(config, test::MemoryCheckpoint(tensors), {.device = device, .dtype = dtype});
}

// Heads of 24 and 10, gates of 44 and 43: rows that are whole chunks and rows that are not.
LmConfig OddConfig() {
  LmConfig config = test::SmallLmConfig();
  config.dim = 48;
  config.hidden_scale = 1.375;
  config.depformer_dim = 20;
  config.depformer_dim_feedforward = 65;
  config.context = 13;
  return config;
}

// Matrices for the products of few rows: rows of whole 16-byte words.
LmConfig FewRowsConfig() {
  LmConfig config = test::SmallLmConfig();
  config.dim = 32;
  config.hidden_scale = 1.5;
  config.depformer_dim = 16;
  config.depformer_dim_feedforward = 48;
  return config;
}

using MakeRunner = std::function<std::unique_ptr<nn::ProgramRunner>(StepProgram&)>;

using HostRunner = test::HostRunner<StepProgram>;

void Install(const LmModel& model, LmState& state, const MakeRunner& make_runner) {
  auto program = model.MakeProgram(state);
  REQUIRE(program != nullptr);
  auto runner = make_runner(*program);
  state.graph = std::make_shared<GraphStep>(model.config(), std::move(program), std::move(runner));
}

// Three slots: each joins at its own time, one is reset and used again, one falls silent for a
// while; the rows of a step come in changing order with padding between. A tap makes it the plain
// step.
std::vector<std::vector<FrameTokens>> Play(const LmModel& model, LmState& state, bool plain,
                                           int steps = 60) {
  const LmConfig& config = model.config();
  const nn::DebugTap tap = [](std::string_view, const at::Tensor&) {};
  const int starts[3] = {0, 3, 8};
  std::vector<std::vector<FrameTokens>> output(3);
  for (int time = 0; time < steps; ++time) {
    std::vector<StepInput> inputs(3);
    for (int slot = 0; slot < 3; ++slot) {
      if (time < starts[slot] || (slot == 1 && time % 7 == 6)) continue;
      const auto index = static_cast<size_t>(slot);
      if (time == starts[slot] || (slot == 2 && time == 33)) {
        state.Reset(slot);
        state.settings[index] = {.sampling = {.greedy = slot == 1},
                                 .random = {.seed = 5, .dialogue = static_cast<uint64_t>(time)},
                                 .first_step = 0};
        if (slot == 2) state.settings[index].sampling.topk_audio = 0;
      }
      StepInput& input = inputs[static_cast<size_t>((slot + time) % 3)];
      input.slot = slot;
      for (int k = 0; k < config.codebooks(); ++k) {
        input.user.push_back((7 * time + 3 * k + slot) % config.card);
      }
      if (time % 11 == 4) input.text = time % config.text_card;
      if (time % 13 == 5) input.agent.assign(input.user.begin(), input.user.end());
      if (time % 17 == 9) input.user[0] = kZeroToken;
    }
    const auto frames = model.Step(inputs, state, plain ? tap : nn::DebugTap{});
    for (size_t row = 0; row < frames.size(); ++row) {
      if (frames[row]) output[static_cast<size_t>(inputs[row].slot)].push_back(*frames[row]);
    }
  }
  return output;
}

void CheckSameRings(const LmState& a, const LmState& b, double tolerance) {
  for (int slot = 0; slot < a.temporal.slots(); ++slot) {
    const nn::SlotSnapshot left = a.temporal.Save(slot);
    const nn::SlotSnapshot right = b.temporal.Save(slot);
    CHECK(left.counters == right.counters);
    for (size_t i = 0; i < left.tensors.size(); ++i) {
      test::CheckClose(left.tensors[i], right.tensors[i], tolerance);
    }
  }
}

TEST_CASE("the program of a step, run on the host, gives the plain step's tokens") {
  test::Seed(21);
  for (const LmConfig& config : {test::SmallLmConfig(), OddConfig(), FewRowsConfig()}) {
    for (const nn::RingRule rule : {nn::RingRule::kMaskNextSlot, nn::RingRule::kFull}) {
      LmConfig with_rule = config;
      with_rule.ring_rule = rule;
      const LmModel model = MakeModel(with_rule, at::kFloat);
      LmState plain = model.NewState(3);
      LmState fast = model.NewState(3);
      Install(model, fast, HostRunner::Make);
      const auto expected = Play(model, plain, /*plain=*/true);
      CHECK(Play(model, fast, /*plain=*/false) == expected);
      CHECK(fast.graph->trusted());
      CHECK(expected[0].size() > 50);
      CHECK(plain.graph == nullptr);
      // Sums in another order; over tens of steps of random weights.
      CheckSameRings(fast, plain, 1e-4);
    }
  }
}

TEST_CASE("fewer rows than the program has, and rings sized by the dialogues") {
  test::Seed(22);
  LmConfig config = test::SmallLmConfig();
  config.context = 40;
  const LmModel model = MakeModel(config, at::kFloat);
  const std::vector<int64_t> steps{15, 9, 6, 1, 0};  // slots 1 and 2 are filled to the last step
  LmState plain = model.NewState(steps);
  LmState fast = model.NewState(steps);
  Install(model, fast, HostRunner::Make);
  CHECK(Play(model, fast, false, 15) == Play(model, plain, true, 15));
  CHECK(fast.graph->trusted());
  // The first step of slot 0 ran no model, so its ring has room for one more.
  const StepInput more{.slot = 0, .user = {1, 2, 3, 4}};
  model.Step(std::span(&more, 1), fast);
  CHECK_THROWS_AS(model.Step(std::span(&more, 1), fast), base::Error);

  // Two that wrap beside one that two dialogues fit into, one after the other.
  const std::vector<int64_t> mixed{0, 0, 26};
  plain = model.NewState(mixed);
  fast = model.NewState(mixed);
  Install(model, fast, HostRunner::Make);
  const auto expected = Play(model, plain, true);
  CHECK(Play(model, fast, false) == expected);
  CHECK(fast.graph->trusted());
  CheckSameRings(fast, plain, 1e-4);
  LmState whole = model.NewState(3);
  CHECK(Play(model, whole, true) == expected);
}

TEST_CASE("a model without positional embedding is recorded too") {
  test::Seed(28);
  LmConfig config = test::SmallLmConfig();
  config.max_period = 0;
  const LmModel model = MakeModel(config, at::kFloat);
  LmState plain = model.NewState(3);
  LmState fast = model.NewState(3);
  Install(model, fast, HostRunner::Make);
  CHECK(Play(model, fast, false) == Play(model, plain, true));
  CHECK(fast.graph->trusted());
}

TEST_CASE("few rows have kernels of their own, more rows LibTorch's products") {
  test::Seed(28);
  const LmModel model = MakeModel(FewRowsConfig(), at::kFloat);
  LmState plain = model.NewState(3);
  const auto expected = Play(model, plain, true, 30);
  for (const int slots : {3, 8, 9}) {
    CAPTURE(slots);
    LmState fast = model.NewState(slots);
    CHECK(model.MakeProgram(fast)->fused() == (slots <= cuda::kMostRows));
    Install(model, fast, HostRunner::Make);
    CHECK(Play(model, fast, false, 30) == expected);
    CHECK(fast.graph->trusted());
  }
}

TEST_CASE("bfloat16 is trusted too, and its first steps are the plain step's") {
  test::Seed(23);
  for (const LmConfig& config : {OddConfig(), FewRowsConfig()}) {
    const LmModel model = MakeModel(config, at::kBFloat16);
    LmState plain = model.NewState(3);
    LmState fast = model.NewState(3);
    Install(model, fast, HostRunner::Make);
    Play(model, fast, false);
    CHECK(fast.graph->trusted());

    LmState begun = model.NewState(3);
    Install(model, begun, HostRunner::Make);
    CHECK(Play(model, begun, false, 5) == Play(model, plain, true, 5));
    CheckSameRings(begun, plain, 0);
  }
}

// Three dialogues of `slots`, with activations of both types.
void CheckInt8(const std::function<LmModel(at::ScalarType)>& make, int slots, bool fused,
               const MakeRunner& make_runner, double tolerance) {
  CAPTURE(slots);
  const LmModel model = make(at::kFloat);
  LmState plain = model.NewState(slots);
  LmState fast = model.NewState(slots);
  CHECK(model.MakeProgram(fast)->fused() == fused);
  Install(model, fast, make_runner);
  CHECK(Play(model, fast, false, 40) == Play(model, plain, true, 40));
  CHECK(fast.graph->trusted());
  CheckSameRings(fast, plain, tolerance);

  // The plain step rounds the weights, the products of few rows do not.
  const LmModel narrow = make(at::kBFloat16);
  LmState state = narrow.NewState(slots);
  Install(narrow, state, make_runner);
  Play(narrow, state, false, 40);
  CHECK(state.graph->trusted());
}

// From the weight loader to the recorded step, as the engine goes with --quantize int8 on a GPU.
void CheckInt8OfLoader(at::Device device, const MakeRunner& make_runner, double tolerance) {
  LmConfig wide = FewRowsConfig();
  wide.dim = 64;
  wide.text_card = 100;
  wide.card = 96;
  wide.depformer_dim = 32;
  auto tensors = test::RandomLmTensors(wide, wide.dep_q);
  for (auto& [name, tensor] : tensors) {
    // Products that do not enlarge: others carry bfloat16's roundings on and on.
    const bool norm = name.find("norm") != std::string::npos;
    if (!norm) tensor = tensor * (1.5 / std::sqrt(static_cast<double>(tensor.size(-1))));
    tensor = tensor.to(at::kHalf);  // which loading converts to either type
  }
  const auto file = test::MemoryCheckpoint(tensors);
  const auto random = [&](at::ScalarType dtype) {
    return Load(wide, file, {.device = device, .dtype = dtype, .int8 = true});
  };
  CheckInt8(random, 3, /*fused=*/true, make_runner, tolerance);
  CheckInt8(random, 9, /*fused=*/false, make_runner, tolerance);

  const LmConfig config = engine::ModelConfig::Read(test::TinyModel("config.json")).lm;
  const auto stored = weights::SafetensorsFile::Open(test::TinyModel("model.safetensors"));
  const auto tiny = [&](at::ScalarType dtype) {
    return Load(config, stored, {.device = device, .dtype = dtype, .int8 = true});
  };
  // The depth transformer's gate has 88 numbers: in int8 no whole words.
  CheckInt8(tiny, 3, /*fused=*/false, make_runner, tolerance);

  // They are other numbers than the stored ones.
  const LmModel quantised = tiny(at::kFloat);
  const LmModel exact = Load(config, stored, {.device = device, .dtype = at::kFloat});
  LmState ours = quantised.NewState(3);
  LmState theirs = exact.NewState(3);
  CHECK(Play(quantised, ours, true, 40) != Play(exact, theirs, true, 40));
}

TEST_CASE("the loader's int8 weights through the program, on the host") {
  test::Seed(29);
  CheckInt8OfLoader(at::kCPU, HostRunner::Make, 1e-4);
}

// What a broken GPU, driver or kernel could do.
class BrokenRunner : public HostRunner {
 public:
  enum class Fault {
    kHidden,
    kTextLogits,
    kAudioLogits,
    kDraws,
    kNoToken,
    kProvided,
    kThrows,
    kNan
  };
  BrokenRunner(StepProgram& program, Fault fault) : HostRunner(program), fault_(fault) {}
  const int32_t* Run() override {
    if (fault_ == Fault::kThrows) throw std::runtime_error("out of order");
    HostRunner::Run();
    const at::Tensor& chosen = program_.output();
    if (fault_ == Fault::kHidden) program_.hidden().select(1, 0).add_(1);
    if (fault_ == Fault::kNan) program_.hidden().select(1, 0).fill_(std::nanf(""));
    if (fault_ == Fault::kTextLogits) program_.text_logits().mul_(1.1);
    if (fault_ == Fault::kAudioLogits) program_.audio_logits()[1].mul_(1.1);
    if (fault_ == Fault::kDraws) chosen.select(1, 0).add_(1).remainder_(4);
    if (fault_ == Fault::kNoToken) chosen.fill_(1 << 20);
    if (fault_ == Fault::kProvided) {
      // In the first steps of a dialogue, the delayed streams are provided.
      chosen.select(1, 2).fill_(0);
    }
    return chosen.const_data_ptr<int32_t>();
  }

 private:
  Fault fault_;
};

TEST_CASE("a step that disagrees or fails is not used, and changes no token") {
  test::Seed(24);
  const LmModel model = MakeModel(test::SmallLmConfig(), at::kFloat);
  using Fault = BrokenRunner::Fault;
  for (const Fault fault : {Fault::kHidden, Fault::kTextLogits, Fault::kAudioLogits, Fault::kDraws,
                            Fault::kNoToken, Fault::kProvided, Fault::kThrows, Fault::kNan}) {
    CAPTURE(static_cast<int>(fault));
    LmState plain = model.NewState(3);
    LmState fast = model.NewState(3);
    Install(model, fast,
            [&](StepProgram& program) { return std::make_unique<BrokenRunner>(program, fault); });
    CHECK(Play(model, fast, false, 12) == Play(model, plain, true, 12));
    CHECK(!fast.graph->usable());
    CheckSameRings(fast, plain, 0);
  }
}

TEST_CASE("what cannot be recorded is left to the plain step") {
  test::Seed(25);
  LmConfig wide = test::SmallLmConfig();
  wide.dim = 260;
  wide.num_heads = 2;  // heads of 130
  const LmModel model = MakeModel(wide, at::kFloat);
  LmState state = model.NewState(1);
  CHECK(model.MakeProgram(state) == nullptr);
  CHECK(Play(model, state = model.NewState(3), false, 6) ==
        Play(model, state = model.NewState(3), true, 6));
}

TEST_CASE("tokens that no table has are refused before the kernels see them") {
  test::Seed(26);
  const LmModel model = MakeModel(test::SmallLmConfig(), at::kFloat);
  LmState state = model.NewState(1);
  Install(model, state, HostRunner::Make);
  StepInput input{.slot = 0, .user = {1, 2, 3, 4}};
  model.Step(std::span(&input, 1), state);
  input.user[2] = model.config().card + 1;
  model.Step(std::span(&input, 1), state);  // delayed by one step
  CHECK_THROWS_AS(
      {
        model.Step(std::span(&input, 1), state);
        model.Step(std::span(&input, 1), state);
      },
      base::Error);
}

// Runs where a GPU is; elsewhere it says that it did not.
TEST_CASE("on a GPU: the graph's tokens are the plain step's") {
  const std::optional<at::Device> gpu = test::OpenGpuForKernels();
  if (!gpu) return;
  const at::Device device = *gpu;
  test::Seed(27);
  LmConfig large = test::SmallLmConfig();  // heads of 128 and 64, as released
  large.dim = 512;
  large.num_heads = 4;
  large.depformer_dim = 128;
  large.text_card = 4001;
  large.card = 2048;
  for (const LmConfig& config : {test::SmallLmConfig(), OddConfig(), FewRowsConfig(), large}) {
    CAPTURE(config.dim);
    const LmModel model = MakeModel(config, at::kFloat, device);
    LmState plain = model.NewState(3);
    LmState fast = model.NewState(3);
    CHECK(Play(model, fast, false) == Play(model, plain, true));
    REQUIRE(fast.graph != nullptr);
    CHECK(fast.graph->trusted());
    CheckSameRings(fast, plain, 1e-3);

    const LmModel narrow = MakeModel(config, at::kBFloat16, device);
    LmState state = narrow.NewState(3);
    const auto first = Play(narrow, state, false);
    CHECK(state.graph->trusted());
    LmState again = narrow.NewState(3);
    CHECK(Play(narrow, again, false) == first);
  }

  LmConfig config = large;
  config.context = 40;
  const LmModel model = MakeModel(config, at::kFloat, device);
  LmState mixed = model.NewState(std::vector<int64_t>{0, 0, 26});
  LmState whole = model.NewState(3);
  CHECK(Play(model, mixed, false) == Play(model, whole, false));
  CHECK(mixed.graph->trusted());
  CheckSameRings(mixed, whole, 0);
}

TEST_CASE("on a GPU: the loader's int8 weights through the graph") {
  const std::optional<at::Device> gpu = test::OpenGpuForKernels();
  if (!gpu) return;
  test::Seed(30);
  CheckInt8OfLoader(*gpu, RecordCudaGraph, 1e-3);
}

}  // namespace
}  // namespace ppx::lm
