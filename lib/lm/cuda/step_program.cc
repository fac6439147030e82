#include "lm/cuda/step_program.h"

#include <algorithm>
#include <utility>

namespace ppx::lm {
namespace {

// Blocks of the attention that keep the largest of the GPUs busy.
constexpr int kBlocksWanted = 256;
constexpr int kMostSplits = 16;

// Of the activations; matrices may be int8.
at::ScalarType TypeOf(const StepTensors& tensors) { return tensors.embeddings[0].scalar_type(); }

bool Aligned(const at::Tensor& tensor) {
  return reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16 == 0 && tensor.is_contiguous();
}

template <class Use>
void ForEachMatrix(const StepTensors::Layer& layer, const Use& use) {
  const nn::LayerMatrices& matrices = layer.matrices;
  for (const nn::Linear* matrix :
       {&matrices.in_proj, &matrices.out_proj, &matrices.mlp_in, &matrices.mlp_out}) {
    use(*matrix);
  }
}

template <class Use>
void ForEachMatrix(const StepTensors::DepthStep& step, const Use& use) {
  use(step.input);
  for (const StepTensors::Layer& layer : step.layers) ForEachMatrix(layer, use);
  use(step.output);
}

template <class Use>
void ForEachMatrix(const StepTensors& tensors, const Use& use) {
  for (const StepTensors::Layer& layer : tensors.layers) ForEachMatrix(layer, use);
  use(tensors.text_linear);
  for (const StepTensors::DepthStep& step : tensors.depth) ForEachMatrix(step, use);
}

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
      fused_(FitsFewRows()),
      main_(rows, config.dim, config.hidden(), tensors_.embeddings[0].options()),
      small_(rows, config.depformer_dim, config.depformer_hidden(),
             tensors_.embeddings[0].options()) {
  const at::TensorOptions options = tensors_.embeddings[0].options();
  const int chosen = 1 + config.codebooks();
  std::vector<int64_t> addresses;
  for (const at::Tensor& table : tensors_.embeddings) {
    addresses.push_back(reinterpret_cast<int64_t>(table.data_ptr()));
  }
  tables_ = at::tensor(addresses, at::kLong).to(options.device());
  // The keys and values of the depth steps live for one frame; a step reads what those before it
  // in the frame wrote.
  const auto depth_layers = static_cast<int64_t>(tensors_.depth[0].layers.size());
  depth_keys_ =
      at::zeros({depth_layers, rows, depth.num_heads, depth.capacity, depth.head_dim}, options);
  depth_values_ = at::zeros_like(depth_keys_);
  for (StepTensors::DepthStep& step : tensors_.depth) {
    for (int64_t layer = 0; layer < depth_layers; ++layer) {
      step.layers[static_cast<size_t>(layer)].keys = depth_keys_[layer];
      step.layers[static_cast<size_t>(layer)].values = depth_values_[layer];
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
  if (fused_) {
    WriteDepthTables();
    return;
  }
  int64_t largest = 0;
  ForEachMatrix(tensors_, [&](const nn::Linear& matrix) {
    if (matrix.scales().defined()) largest = std::max(largest, matrix.weight().numel());
  });
  if (largest > 0) scratch_ = at::empty({largest}, options);
}

bool StepProgram::FitsFewRows() const {
  bool fits = rows_ <= cuda::kMostRows;
  ForEachMatrix(tensors_, [&](const nn::Linear& matrix) {
    const at::Tensor& weight = matrix.weight();
    fits = fits && Aligned(weight) && weight.size(1) * weight.element_size() % 16 == 0;
  });
  const nn::Linear& first = tensors_.depth[0].input;
  for (const StepTensors::DepthStep& step : tensors_.depth) {
    ForEachMatrix(step, [&](const nn::Linear& matrix) {
      fits = fits && matrix.weight().scalar_type() == first.weight().scalar_type();
    });
  }
  // The depth transformer always normalises on the way.
  const int64_t normed = rows_ * first.weight().size(0) * tensors_.embeddings[0].element_size();
  return fits && normed <= cuda::kNormedBytes;
}

void StepProgram::WriteDepthTables() {
  const auto address = [](const at::Tensor& tensor) {
    return tensor.defined() ? reinterpret_cast<int64_t>(tensor.data_ptr()) : 0;
  };
  std::vector<int64_t> steps;
  std::vector<int64_t> layers;
  for (const StepTensors::DepthStep& step : tensors_.depth) {
    for (const nn::Linear* matrix : {&step.input, &step.output}) {
      steps.push_back(address(matrix->weight()));
      steps.push_back(address(matrix->scales()));
    }
    steps.push_back(address(step.embedding));
    for (const StepTensors::Layer& layer : step.layers) {
      ForEachMatrix(layer, [&](const nn::Linear& matrix) {
        layers.push_back(address(matrix.weight()));
        layers.push_back(address(matrix.scales()));
      });
      layers.push_back(address(layer.norm1));
      layers.push_back(address(layer.norm2));
    }
  }
  using Kernel = cuda::DepthKernel<float, float, 1>;
  static_assert(sizeof(Kernel::Step) == 5 * sizeof(int64_t));
  static_assert(sizeof(Kernel::Layer) == 10 * sizeof(int64_t));
  const at::Device device = chosen_.device();
  depth_steps_ = at::tensor(steps, at::kLong).to(device);
  depth_layers_ = at::tensor(layers, at::kLong).to(device);
}

int StepProgram::Splits(int heads) const {
  return std::clamp(kBlocksWanted / (rows_ * heads), 1, kMostSplits);
}

bool StepProgram::Supports(const LmConfig& config, const StepTensors& tensors) {
  const at::ScalarType type = TypeOf(tensors);
  if (type != at::kFloat && type != at::kBFloat16) return false;
  // The first layer of a depth step is what adds its embedding.
  if (config.depformer_num_layers == 0) return false;
  for (const int width :
       {config.dim / config.num_heads, config.depformer_dim / config.depformer_num_heads}) {
    if (width % 2 != 0 || width > nn::cuda::kWidestHead) return false;
  }
  if (std::max(config.text_card, config.card) > cuda::kLargestCard) return false;
  bool all = Aligned(tensors.out_norm);
  for (const at::Tensor& table : tensors.embeddings) all = all && Aligned(table);
  for (const StepTensors::Layer& layer : tensors.layers) {
    all = all && Aligned(layer.norm1) && Aligned(layer.norm2) && Aligned(layer.keys) &&
          Aligned(layer.values);
  }
  for (const StepTensors::DepthStep& step : tensors.depth) {
    all = all && Aligned(step.embedding);
    for (const StepTensors::Layer& layer : step.layers) {
      all = all && Aligned(layer.norm1) && Aligned(layer.norm2);
    }
  }
  ForEachMatrix(tensors, [&](const nn::Linear& matrix) {
    const at::ScalarType stored = matrix.weight().scalar_type();
    const bool quantised = stored == at::kChar && matrix.scales().defined();
    all = all && (quantised ? Aligned(matrix.weight()) : stored == type);
  });
  return all;
}

}  // namespace ppx::lm
