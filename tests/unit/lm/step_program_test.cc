// The program for few rows, as it is and with int8 weights, against the program whose products are
// LibTorch's: on the host everywhere, and as a CUDA graph where a GPU is.
#include "lm/cuda/step_program.h"

#include <algorithm>
#include <functional>

#include "lm/cuda/graph_step.h"
#include "lm/sampler.h"
#include "nn/transformer.h"
#include "support/gpu.h"
#include "support/host_runner.h"
#include "support/random_lm.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::lm {
namespace {

constexpr int kSlots = 16;
constexpr int kSteps = 3;

// Every matrix has rows of whole 16-byte words, in int8 too.
LmConfig WholeWords() {
  LmConfig config = test::SmallLmConfig();
  config.dim = 64;
  config.hidden_scale = 1.5;
  config.depformer_dim = 32;
  config.depformer_dim_feedforward = 72;
  config.text_card = 21;
  return config;
}

// The same random weights, whole numbers times a scale, in either form.
StepTensors RandomTensors(const LmConfig& config, at::ScalarType dtype, bool quantised,
                          at::Device device) {
  test::Seed(41);
  const auto linear = [&](int64_t outputs, int64_t inputs) {
    const at::Tensor weight = at::randint(-127, 128, {outputs, inputs}).to(at::kChar);
    const at::Tensor scales = at::rand({outputs}) * 0.002 + 0.001;
    if (quantised) return nn::Linear(weight.to(device), scales.to(device), {});
    return nn::Linear((weight.to(at::kFloat) * scales.unsqueeze(1)).to(dtype).to(device));
  };
  const auto table = [&](int64_t tokens, int64_t dim) {
    return at::randn({tokens, dim}).to(dtype).to(device);
  };
  const auto norm = [&](int64_t dim) { return (at::rand({dim}) + 0.5).to(device); };
  const auto layer = [&](int64_t dim, int64_t hidden) {
    return StepTensors::Layer{.matrices = {.in_proj = linear(3 * dim, dim),
                                           .out_proj = linear(dim, dim),
                                           .mlp_in = linear(2 * hidden, dim),
                                           .mlp_out = linear(dim, hidden)},
                              .norm1 = norm(dim),
                              .norm2 = norm(dim),
                              .keys = {},
                              .values = {}};
  };
  StepTensors tensors;
  for (int stream = 0; stream < config.streams(); ++stream) {
    tensors.embeddings.push_back(
        table((stream == 0 ? config.text_card : config.card) + 1, config.dim));
  }
  const int head_dim = config.dim / config.num_heads;
  for (int i = 0; i < config.num_layers; ++i) {
    tensors.layers.push_back(layer(config.dim, config.hidden()));
    tensors.layers.back().keys = at::zeros({kSlots, config.num_heads, config.context, head_dim},
                                           at::TensorOptions(device).dtype(dtype));
    tensors.layers.back().values = at::zeros_like(tensors.layers.back().keys);
  }
  // All of one length.
  const at::Tensor capacities = at::full({kSlots}, config.context, at::kLong);
  tensors.places =
      at::stack({at::arange(kSlots, at::kLong) * config.context, capacities}, 1).to(device);
  tensors.inverse_frequencies = nn::RopeInverseFrequencies(head_dim, config.max_period).to(device);
  tensors.out_norm = norm(config.dim);
  tensors.text_linear = linear(config.text_card, config.dim);
  for (int k = 0; k < config.codebooks(); ++k) {
    StepTensors::DepthStep step{
        .input = linear(config.depformer_dim, config.dim),
        .embedding = table((k == 0 ? config.text_card : config.card) + 1, config.depformer_dim),
        .output = linear(config.card, config.depformer_dim),
        .layers = {}};
    for (int i = 0; i < config.depformer_num_layers; ++i) {
      step.layers.push_back(layer(config.depformer_dim, config.depformer_hidden()));
      // Of all steps.
      step.layers.back().norm1 =
          k == 0 ? step.layers.back().norm1 : tensors.depth[0].layers[static_cast<size_t>(i)].norm1;
    }
    tensors.depth.push_back(std::move(step));
  }
  return tensors;
}

nn::RingAttentionSpec Attention(int dim, int heads, int context, double max_period) {
  return {.num_heads = heads,
          .head_dim = dim / heads,
          .context = context,
          .capacity = context,
          .block = 1,
          .rule = nn::RingRule::kMaskNextSlot,
          .rope_max_period = max_period};
}

using MakeRunner = std::function<std::unique_ptr<nn::ProgramRunner>(StepProgram&)>;

using HostRunner = test::HostRunner<StepProgram>;

// Threads that meet only where the kernels make them: three groups of lanes.
class ThreadRunner : public HostRunner {
 public:
  using HostRunner::HostRunner;
  const int32_t* Run() override {
    program_.Enqueue([](const auto& kernel) { test::RunThreads(kernel, 48); });
    return program_.output().const_data_ptr<int32_t>();
  }
};

bool IsPadding(int row) { return row == 1; }

// What the rows are fed does not depend on how many there are. With `given`, every token is
// provided.
void Fill(const LmConfig& config, const StepRows& rows, int time, bool given) {
  for (int row = 0; row < rows.rows; ++row) {
    for (int stream = 0; stream < rows.streams; ++stream) {
      const int token = (7 * time + 3 * stream + 5 * row) % (config.card + 1);
      rows.tokens[row * rows.streams + stream] = stream % 5 == 4 ? kZeroToken : token;
    }
    rows.slots[row] = IsPadding(row) ? nn::kPadding : row;
    rows.positions[row] = IsPadding(row) ? 0 : time;
    for (int stream = 0; stream < rows.chosen; ++stream) {
      const int cell = row * rows.chosen + stream;
      const RandomStream random{.seed = 3, .dialogue = static_cast<uint64_t>(row)};
      rows.uniforms[cell] = random.Uniform(time, stream);
      rows.fixed[cell] = given || (row + stream + time) % 6 == 5
                             ? (row + stream) % (config.card + 1) - 1
                             : kUngenerated;
    }
    for (int part = 0; part < 2; ++part) {
      const bool greedy = row % 3 == 2;
      rows.temperature[part * rows.rows + row] = greedy ? 0.0F : 0.8F;
      rows.top_k[part * rows.rows + row] = 3 * row;
    }
  }
}

struct Form {
  at::ScalarType dtype = at::kFloat;
  bool quantised = false;
  int rows = 1;
};

// Runs a program some steps and keeps what they left, on the host.
struct Played {
  std::vector<at::Tensor> hidden, text_logits, audio_logits, chosen;  // one a step
  std::vector<at::Tensor> rings;
  bool fused = false;
};

Played Play(const LmConfig& config, const Form& form, const MakeRunner& make_runner,
            at::Device device) {
  const StepTensors tensors = RandomTensors(config, form.dtype, form.quantised, device);
  REQUIRE(StepProgram::Supports(config, tensors));
  StepProgram program(
      config, tensors, Attention(config.dim, config.num_heads, config.context, config.max_period),
      Attention(config.depformer_dim, config.depformer_num_heads, config.dep_q, 0), form.rows);
  const auto runner = make_runner(program);
  Played played;
  played.fused = program.fused();
  for (int time = 0; time < kSteps; ++time) {
    Fill(config, program.RowsIn(runner->input()), time, form.dtype == at::kBFloat16);
    runner->Run();
    const auto keep = [](const at::Tensor& tensor) {
      return tensor.to(at::kCPU, at::kFloat, false, true);
    };
    played.hidden.push_back(keep(program.hidden()));
    played.text_logits.push_back(keep(program.text_logits()));
    played.audio_logits.push_back(keep(program.audio_logits()));
    played.chosen.push_back(keep(program.output()));
  }
  for (const StepTensors::Layer& layer : tensors.layers) {
    played.rings.push_back(layer.keys.to(at::kCPU, at::kFloat));
    played.rings.push_back(layer.values.to(at::kCPU, at::kFloat));
  }
  return played;
}

// In float32, where sums are taken in another order; in bfloat16, where a sum that falls to the
// other side of a rounding is carried on.
void CheckSame(const Played& actual, const Played& expected, int rows, double tolerance) {
  for (size_t time = 0; time < kSteps; ++time) {
    CAPTURE(time);
    for (int row = 0; row < rows; ++row) {
      if (IsPadding(row)) continue;
      CAPTURE(row);
      test::CheckClose(actual.hidden[time][row], expected.hidden[time][row], tolerance);
      test::CheckClose(actual.text_logits[time][row], expected.text_logits[time][row], tolerance);
      test::CheckEqual(actual.chosen[time][row], expected.chosen[time][row]);
      test::CheckClose(actual.audio_logits[time].select(1, row),
                       expected.audio_logits[time].select(1, row), tolerance);
    }
  }
  for (size_t i = 0; i < actual.rings.size(); ++i) {
    for (int slot = 0; slot < rows; ++slot) {
      test::CheckClose(actual.rings[i][slot], expected.rings[i][slot], tolerance);
    }
    if (rows > 1) test::CheckEqual(actual.rings[i][1], at::zeros_like(actual.rings[i][1]));
  }
}

void CheckForms(const MakeRunner& make_runner, at::Device device, double float_tolerance) {
  const LmConfig config = WholeWords();
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const double tolerance = dtype == at::kFloat ? float_tolerance : 0.04;
    const Played expected =
        Play(config, {.dtype = dtype, .quantised = false, .rows = kSlots}, make_runner, device);
    CHECK(!expected.fused);
    for (const bool quantised : {false, true}) {
      for (const int rows : {1, 2, 3, 8, 9}) {
        CAPTURE(dtype);
        CAPTURE(quantised);
        CAPTURE(rows);
        const Played actual = Play(config, {.dtype = dtype, .quantised = quantised, .rows = rows},
                                   make_runner, device);
        CHECK(actual.fused == (rows <= cuda::kMostRows));
        CheckSame(actual, expected, rows, tolerance);
      }
    }
  }
}

TEST_CASE("few rows, many rows and int8 weights give the same step") {
  CheckForms(HostRunner::Make, at::kCPU, 1e-4);
}

TEST_CASE("few rows by many threads") {
  const LmConfig config = WholeWords();
  const Form form{.dtype = at::kFloat, .quantised = true, .rows = 2};
  const Played threads = Play(
      config, form, [](StepProgram& program) { return std::make_unique<ThreadRunner>(program); },
      at::kCPU);
  CHECK(threads.fused);
  CheckSame(threads, Play(config, form, HostRunner::Make, at::kCPU), form.rows, 1e-5);
}

TEST_CASE("rows of no whole words, and depth steps of both types, are left to LibTorch") {
  LmConfig config = WholeWords();
  const auto attention = Attention(config.dim, config.num_heads, config.context, config.max_period);
  const auto fused = [&](const StepTensors& tensors) {
    REQUIRE(StepProgram::Supports(config, tensors));
    return StepProgram(config, tensors, attention,
                       Attention(config.depformer_dim, config.depformer_num_heads, config.dep_q, 0),
                       2)
        .fused();
  };
  StepTensors tensors = RandomTensors(config, at::kBFloat16, false, at::kCPU);
  CHECK(fused(tensors));
  const StepTensors quantised = RandomTensors(config, at::kBFloat16, true, at::kCPU);
  StepTensors mixed = tensors;
  mixed.layers[0].matrices.mlp_in = quantised.layers[0].matrices.mlp_in;
  CHECK(fused(mixed));
  mixed.depth[2].output = quantised.depth[2].output;
  CHECK(!fused(mixed));
  config.hidden_scale = 1.375;
  CHECK(config.hidden() % 8 != 0);
  CHECK(!fused(RandomTensors(config, at::kBFloat16, false, at::kCPU)));
}

TEST_CASE("a program refuses what its kernels cannot read") {
  const LmConfig config = WholeWords();
  StepTensors tensors = RandomTensors(config, at::kFloat, true, at::kCPU);
  CHECK(StepProgram::Supports(config, tensors));
  StepTensors no_scales = tensors;
  no_scales.text_linear = nn::Linear(tensors.text_linear.weight());
  CHECK(!StepProgram::Supports(config, no_scales));
  StepTensors other_type = tensors;
  other_type.depth[1].input = nn::Linear(at::zeros({32, 64}, at::kBFloat16));
  CHECK(!StepProgram::Supports(config, other_type));
}

// Runs where a GPU is; elsewhere it says that it did not.
TEST_CASE("on a GPU: few rows, many rows and int8 weights give the same step") {
  const std::optional<at::Device> gpu = test::OpenGpuForKernels();
  if (!gpu) return;
  const at::Device device = *gpu;
  CheckForms([](StepProgram& program) { return RecordCudaGraph(program); }, device, 1e-3);
}

}  // namespace
}  // namespace ppx::lm
