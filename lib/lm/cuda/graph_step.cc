#include "lm/cuda/graph_step.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "lm/lm_model.h"
#include "nn/cuda/trust.h"

namespace ppx::lm {
namespace {

constexpr int kStepsToCheck = 4;
// Of the norm of the difference to that of the plain step's result. Both round alike, but for the
// order of the attention's sums; in bfloat16 a sum that falls to the other side of a rounding is
// carried on through all layers: 0.015 to 0.03 on the host with random weights. Ill-conditioned
// ones give up to 0.13, and the plain step: better slow than wrong.
constexpr double kLargestErrorFloat = 1e-3;
constexpr double kLargestErrorBf16 = 0.05;
// Draws that may differ between equal logits: a probability at the threshold, to the last bit.
constexpr int64_t kDrawsPerMiss = 100;

void Warn(std::string_view reason) { nn::WarnOfGraph("the step", reason); }

bool Close(const at::Tensor& actual, const at::Tensor& expected) {
  return nn::Close(actual, expected,
                   actual.scalar_type() == at::kFloat ? kLargestErrorFloat : kLargestErrorBf16);
}

}  // namespace

GraphStep::GraphStep(LmConfig config, std::unique_ptr<StepProgram> program,
                     std::unique_ptr<nn::ProgramRunner> runner)
    : config_(std::move(config)),
      program_(std::move(program)),
      runner_(std::move(runner)),
      usable_(program_ != nullptr && runner_ != nullptr),
      left_to_check_(kStepsToCheck) {}

at::Tensor GraphStep::Run(const nn::SlotIds& live, const std::vector<int64_t>& positions,
                          const LmState& state) {
  if (live.size() > static_cast<size_t>(program_->rows())) return {};
  const StepRows rows = program_->RowsIn(runner_->input());
  if (!FillRows(config_, live, positions, state, rows)) return {};
  const int32_t* chosen = nullptr;
  try {
    chosen = runner_->Run();
  } catch (const std::exception& error) {
    if (trusted()) throw;
    usable_ = false;
    Warn(nn::ReasonOf(error));
    return {};
  }
  tokens_ = at::empty({static_cast<int64_t>(live.size()), rows.chosen}, at::kLong);
  std::copy_n(chosen, tokens_.numel(), tokens_.data_ptr<int64_t>());
  return tokens_;
}

nn::DebugTap GraphStep::Witness() {
  plain_text_logits_ = at::Tensor();
  plain_audio_logits_ = at::Tensor();
  return [this](std::string_view name, const at::Tensor& value) {
    if (name == "lm.transformer_out") plain_hidden_ = value;
    if (name == "lm.text_logits") plain_text_logits_ = value;
    if (name == "lm.audio_logits") plain_audio_logits_ = value;
  };
}

void GraphStep::Judge(const nn::SlotIds& live, const at::Tensor& plain_tokens,
                      const LmState& state) {
  --left_to_check_;
  if (!Agrees(live, plain_tokens, state)) {
    usable_ = false;
    Warn("it disagrees with the plain step");
  }
  plain_hidden_ = at::Tensor();
  plain_text_logits_ = at::Tensor();
  plain_audio_logits_ = at::Tensor();
}

bool GraphStep::Agrees(const nn::SlotIds& live, const at::Tensor& plain_tokens,
                       const LmState& state) const {
  const auto tokens = tokens_.accessor<int64_t, 2>();
  const auto plain = plain_tokens.accessor<int64_t, 2>();
  int64_t draws = 0;
  int64_t misses = 0;
  for (size_t r = 0; r < live.size(); ++r) {
    if (live[r] == nn::kPadding) continue;
    const auto row = static_cast<int64_t>(r);
    const auto slot = static_cast<size_t>(live[r]);
    if (!Close(program_->hidden()[row], plain_hidden_[row])) return false;
    for (int64_t stream = 0; stream < plain.size(1); ++stream) {
      const at::Tensor logits =
          stream == 0 ? program_->text_logits()[row] : program_->audio_logits()[stream - 1][row];
      const at::Tensor expected = stream == 0 ? plain_text_logits_ : plain_audio_logits_;
      if (expected.defined() &&
          !Close(logits, stream == 0 ? expected[row] : expected[row][stream - 1])) {
        return false;
      }
      const int64_t token = tokens[row][stream];
      if (state.tokens[slot].IsProvided(static_cast<int>(stream))) {
        if (token != plain[row][stream]) return false;
        continue;
      }
      if (token < 0 || token >= logits.size(0)) return false;
      // The plain draw from the same logits. Equal logits are drawn in any order.
      const SlotSettings& settings = state.settings[slot];
      const SamplingOptions& sampling = settings.sampling;
      const double temperature = stream == 0 ? sampling.temp_text : sampling.temp_audio;
      const int64_t drawn =
          SampleTokens(logits.unsqueeze(0), {sampling.greedy ? 0 : temperature},
                       {stream == 0 ? sampling.topk_text : sampling.topk_audio},
                       {settings.random.Uniform(state.tokens[slot].offset() - settings.first_step,
                                                static_cast<int>(stream))})
              .item<int64_t>();
      ++draws;
      if (logits[token].item<float>() != logits[drawn].item<float>()) ++misses;
      // From here on the two have seen different tokens.
      if (token != plain[row][stream]) break;
    }
  }
  return misses * kDrawsPerMiss <= draws;
}

std::unique_ptr<StepProgram> LmModel::MakeProgram(LmState& state) const {
  const bool packed = !text_linear_.weight().defined();
  if (transformer_.offload() || packed || transformer_.layers().empty()) return nullptr;
  StepTensors tensors;
  tensors.embeddings.push_back(text_embedding_);
  tensors.embeddings.insert(tensors.embeddings.end(), audio_embeddings_.begin(),
                            audio_embeddings_.end());
  for (const nn::Transformer::Layer& layer : transformer_.layers()) {
    tensors.layers.push_back({.matrices = layer.matrices,
                              .norm1 = layer.norm1_weight,
                              .norm2 = layer.norm2_weight,
                              .keys = state.temporal.tensor(layer.keys),
                              .values = state.temporal.tensor(layer.values)});
  }
  const auto places = state.temporal.places(transformer_.layers().front().keys);
  std::vector<int64_t> numbers;
  for (const nn::RingPlace& place : places) {
    numbers.insert(numbers.end(), {place.first, place.capacity});
  }
  tensors.places = at::tensor(numbers, at::kLong).view({-1, 2}).to(device_);
  tensors.inverse_frequencies = transformer_.inverse_frequencies();
  tensors.out_norm = out_norm_;
  tensors.text_linear = text_linear_;
  for (const DepthTransformer::Step& step : depth_.step_weights()) {
    tensors.depth.push_back(
        {.input = step.input, .embedding = step.embedding, .output = step.output, .layers = {}});
    for (size_t i = 0; i < step.layers.size(); ++i) {
      tensors.depth.back().layers.push_back({.matrices = step.layers[i],
                                             .norm1 = depth_.norm1()[i],
                                             .norm2 = depth_.norm2()[i],
                                             .keys = {},
                                             .values = {}});
    }
  }
  if (!StepProgram::Supports(config_, tensors)) return nullptr;
  return std::make_unique<StepProgram>(config_, std::move(tensors), transformer_.attention(),
                                       depth_.attention(), state.temporal.slots());
}

at::Tensor LmModel::ChooseOnGraph(const nn::SlotIds& live, LmState& state) const {
  if (!state.graph) {
    if (!device_.is_cuda()) return {};
    std::unique_ptr<StepProgram> program;
    std::unique_ptr<nn::ProgramRunner> runner;
    if (nn::GraphsWanted()) {
      try {
        program = MakeProgram(state);
        if (program) runner = RecordCudaGraph(*program);
      } catch (const std::exception& error) {
        Warn(nn::ReasonOf(error));
      }
    }
    state.graph = std::make_shared<GraphStep>(config_, std::move(program), std::move(runner));
  }
  GraphStep& graph = *state.graph;
  if (!graph.usable()) return {};
  std::vector<int64_t> positions;
  for (const int slot : live) {
    positions.push_back(slot == nn::kPadding ? 0 : transformer_.Offset(state.temporal, slot));
  }
  const nn::StateLayout::TensorId keys = transformer_.layers().front().keys;
  nn::CheckRingFits(transformer_.attention(), 1, state.temporal.places(keys), live, positions);
  const bool trusted = graph.trusted();
  const at::Tensor tokens = graph.Run(live, positions, state);
  if (!tokens.defined()) return {};
  if (trusted) {
    transformer_.Advance(state.temporal, live, 1);
    return tokens;
  }
  const at::Tensor plain = Choose(live, state, graph.Witness(), /*compute_all=*/false);
  graph.Judge(live, plain, state);
  return plain;
}

}  // namespace ppx::lm
