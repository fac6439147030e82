#include "lm/cuda/step_program.h"

#include <algorithm>
#include <utility>

namespace ppx::lm {
namespace {

// Blocks of the attention that keep the largest of the GPUs busy.
constexpr int kBlocksWanted = 256;
constexpr int kMostSplits = 16;

}  // namespace

StepProgram::Activations::Activations(int rows, int64_t dim, int64_t hidden,
                                      const at::TensorOptions& options)
    : x(at::zeros({rows, dim}, options)),
      branch(at::zeros({rows, dim}, options)),
      normed(at::zeros({rows, dim}, options)),
      qkv(at::zeros({rows, 3 * dim}, options)),
      attended(at::zeros({rows, dim}, options)),
      wide(at::zeros({rows, 2 * hidden}, options)),
      gated(at::zeros({rows, hidden}, options)) {}

StepProgram::StepProgram(const LmConfig& config, StepTensors tensors,
                         const nn::RingAttentionSpec& temporal, const nn::RingAttentionSpec& depth,
                         int rows)
    : tensors_(std::move(tensors)),
      temporal_(temporal),
      depth_(depth),
      rows_(rows),
      main_(rows, config.dim, config.hidden(), tensors_.text_linear.weight().options()),
      small_(rows, config.depformer_dim, config.depformer_hidden(),
             tensors_.text_linear.weight().options()) {
  const at::TensorOptions options = tensors_.text_linear.weight().options();
  const int chosen = 1 + config.codebooks();
  std::vector<int64_t> addresses;
  for (const at::Tensor& table : tensors_.embeddings) {
    addresses.push_back(reinterpret_cast<int64_t>(table.data_ptr()));
  }
  tables_ = at::tensor(addresses, at::kLong).to(options.device());
  // The keys and values of the depth steps live for one frame; a step reads what those before it
  // in the frame wrote.
  for (size_t layer = 0; layer < tensors_.depth[0].layers.size(); ++layer) {
    const std::vector<int64_t> ring{rows, depth.num_heads, depth.capacity, depth.head_dim};
    const at::Tensor keys = at::zeros(ring, options);
    const at::Tensor values = at::zeros(ring, options);
    for (StepTensors::DepthStep& step : tensors_.depth) {
      step.layers[layer].keys = keys;
      step.layers[layer].values = values;
    }
  }
  int64_t partials = 0;
  for (const nn::RingAttentionSpec& spec : {temporal, depth}) {
    partials = std::max(
        partials, int64_t{rows} * spec.num_heads * Splits(spec.num_heads) * (spec.head_dim + 2));
  }
  partial_ = at::zeros({partials}, options.dtype(at::kFloat));
  input_ = at::zeros({StepRows::Words(rows, config.streams(), chosen)}, options.dtype(at::kInt));
  chosen_ = at::zeros({rows, chosen}, options.dtype(at::kInt));
  hidden_ = at::zeros({rows, config.dim}, options);
  text_logits_ = at::zeros({rows, config.text_card}, options);
  audio_logits_ = at::zeros({config.codebooks(), rows, config.card}, options);
}

int StepProgram::Splits(int heads) const {
  return std::clamp(kBlocksWanted / (rows_ * heads), 1, kMostSplits);
}

StepRows StepProgram::Rows() const {
  return {input_.data_ptr(), rows_, streams(), static_cast<int>(chosen_.size(1))};
}

bool StepProgram::Supports(const LmConfig& config, const StepTensors& tensors) {
  const at::ScalarType type = tensors.text_linear.weight().scalar_type();
  if (type != at::kFloat && type != at::kBFloat16) return false;
  // The first layer of a depth step is what adds its embedding.
  if (config.depformer_num_layers == 0) return false;
  for (const int width :
       {config.dim / config.num_heads, config.depformer_dim / config.depformer_num_heads}) {
    if (width % 2 != 0 || width > cuda::kWidestHead) return false;
  }
  if (std::max(config.text_card, config.card) > cuda::kLargestCard) return false;
  const auto aligned = [](const at::Tensor& tensor) {
    return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0 && tensor.is_contiguous();
  };
  bool all = aligned(tensors.out_norm);
  for (const at::Tensor& table : tensors.embeddings) all = all && aligned(table);
  for (const StepTensors::Layer& layer : tensors.layers) {
    all = all && aligned(layer.norm1) && aligned(layer.norm2) && aligned(layer.keys) &&
          aligned(layer.values);
  }
  for (const StepTensors::DepthStep& step : tensors.depth) {
    all = all && aligned(step.embedding);
    for (const StepTensors::Layer& layer : step.layers) {
      all = all && aligned(layer.norm1) && aligned(layer.norm2);
    }
  }
  return all;
}

}  // namespace ppx::lm
