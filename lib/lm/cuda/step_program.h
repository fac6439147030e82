// lib/lm/cuda/step_program.h: a step of the language model as a fixed list of operations on fixed
// memory, from the tokens in to the tokens chosen: no allocation, no question to the host, so that
// it can be recorded once and replayed.
//
// The kernels of this folder go to a queue that the caller brings. With few rows all of the step is
// such kernels, and the depth transformer is one; with more the matrix products are LibTorch's, on
// its current stream. With a queue that runs the kernels' bodies on the host the same list runs on
// the CPU: so it is tested.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "lm/cuda/attend.cuh"
#include "lm/cuda/depth.cuh"
#include "lm/cuda/dequantise.cuh"
#include "lm/cuda/embed.cuh"
#include "lm/cuda/gate.cuh"
#include "lm/cuda/norm.cuh"
#include "lm/cuda/row_product.cuh"
#include "lm/cuda/sample.cuh"
#include "lm/cuda/step_rows.h"
#include "lm/lm_config.h"
#include "nn/ring_attention.h"
#include "nn/transformer.h"

namespace ppx::lm {

// A model's weights, as tensors, and one state's rings, all where they lie: nothing is copied.
struct StepTensors {
  struct Layer {
    nn::LayerMatrices matrices;
    at::Tensor norm1, norm2;  // [dim] f32
    at::Tensor keys, values;  // as nn::Rings; undefined in the depth steps
  };
  struct DepthStep {
    nn::Linear input;      // [depformer_dim, dim]
    at::Tensor embedding;  // [.. + 1, depformer_dim], of the token before
    nn::Linear output;     // [card, depformer_dim]
    std::vector<Layer> layers;
  };
  std::vector<at::Tensor> embeddings;  // [streams] of [.. + 1, dim]; 0 is the text
  std::vector<Layer> layers;
  at::Tensor places;               // [slots, 2] int64: nn::RingPlace of the slots' rings
  at::Tensor inverse_frequencies;  // [head_dim / 2] f32; undefined without positional embedding
  at::Tensor out_norm;             // [dim] f32
  nn::Linear text_linear;          // [text_card, dim]
  std::vector<DepthStep> depth;    // one a codebook of the agent
};

class StepProgram {
 public:
  // `temporal` and `depth` describe the attention of the two transformers. Allocates on the
  // device that the tensors are on.
  StepProgram(const LmConfig& config, StepTensors tensors, const nn::RingAttentionSpec& temporal,
              const nn::RingAttentionSpec& depth, int rows);

  // Whether the kernels can run these sizes and types: f32 or bf16 with matrices of that type or
  // int8, heads of an even width up to 128, cards up to 2^18, and rows of whole 16-byte words where
  // vectors are read.
  static bool Supports(const LmConfig& config, const StepTensors& tensors);

  // All operations of a step, in order. `queue(kernel)` runs a kernel behind what was queued so
  // far, LibTorch's operations included.
  template <class Queue>
  void Enqueue(const Queue& queue) {
    if (hidden_.scalar_type() == at::kBFloat16) {
      EnqueueAs<cuda::Bf16>(queue);
    } else {
      EnqueueAs<float>(queue);
    }
  }

  int rows() const { return rows_; }
  // Whether the products are those for few rows: where each matrix has rows of whole 16-byte words
  // and all of the depth transformer is of one type.
  bool fused() const { return fused_; }
  int streams() const { return static_cast<int>(tensors_.embeddings.size()); }
  // What Enqueue reads, laid out as StepRows: [StepRows::Words] int32.
  const at::Tensor& input() const { return input_; }
  StepRows RowsIn(void* memory) const {
    return {memory, rows_, streams(), static_cast<int>(chosen_.size(1))};
  }
  // What it leaves: the tokens chosen [rows, 1 + codebooks] int32, and on the way to them ...
  const at::Tensor& output() const { return chosen_; }
  const at::Tensor& hidden() const { return hidden_; }              // [rows, dim]
  const at::Tensor& text_logits() const { return text_logits_; }    // [rows, text_card]
  const at::Tensor& audio_logits() const { return audio_logits_; }  // [codebooks, rows, card]

 private:
  // The memory of one transformer's layers, used by each in turn.
  struct Activations {
    Activations(int rows, int64_t dim, int64_t hidden, const at::TensorOptions& options);
    at::Tensor x;         // [rows, dim], the residual stream
    at::Tensor branch;    // [rows, dim], what is to be added to it next
    at::Tensor normed;    // [rows, dim]
    at::Tensor qkv;       // [rows, 3 * dim]
    at::Tensor attended;  // [rows, dim]
    at::Tensor wide;      // [rows, 2 * hidden]
    at::Tensor gated;     // [rows, hidden]
  };

  // What a norm adds to the residual stream first (norm.cuh).
  struct Addend {
    const void* branch = nullptr;
    const int32_t* branch_rows = nullptr;
    int branch_stride = 0;
  };

  // A product of LibTorch's.
  template <class T, class Queue>
  void Multiply(const Queue& queue, const at::Tensor& x, const nn::Linear& matrix,
                at::Tensor& out) {
    at::Tensor weight = matrix.weight();
    if (matrix.scales().defined()) {
      const at::Tensor quantised = weight;
      weight = scratch_.narrow(0, 0, quantised.numel()).view(quantised.sizes());
      queue(cuda::DequantiseKernel<T>{.weights = Data<int8_t>(quantised),
                                      .scales = Data<float>(matrix.scales()),
                                      .output = Data<T>(weight),
                                      .outputs = static_cast<int>(quantised.size(0)),
                                      .inputs = static_cast<int>(quantised.size(1))});
    }
    at::mm_out(out, x, weight.t());
  }

  // Calls use.operator()<W, kRows>() with the kernels' parameters for a matrix and the rows.
  template <class T, class Use>
  void ForFewRows(const nn::Linear& matrix, const Use& use) const {
    if (matrix.scales().defined()) {
      ForFewRowsOf<T, int8_t>(use);
    } else {
      ForFewRowsOf<T, T>(use);
    }
  }
  template <class T, class W, class Use>
  void ForFewRowsOf(const Use& use) const {
    // float32 is for comparisons: one kernel will do.
    if constexpr (!std::is_same_v<T, float>) {
      if (rows_ <= 1) return use.template operator()<W, 1>();
      if (rows_ <= 2) return use.template operator()<W, 2>();
      if (rows_ <= 4) return use.template operator()<W, 4>();
    }
    use.template operator()<W, cuda::kMostRows>();
  }

  struct RowOptions {
    const at::Tensor* norm = nullptr;  // of the rows of a.x, which are then multiplied
    bool gated = false;
    const at::Tensor* addend = nullptr;
  };

  // A product of few rows: of `x`, or of a.x normalised.
  template <class T, class Queue>
  void Product(const Queue& queue, const Activations& a, const at::Tensor& x,
               const nn::Linear& matrix, const at::Tensor& output, const RowOptions& options) {
    ForFewRows<T>(matrix, [&]<class W, int kRows>() {
      using Kernel = cuda::RowProductKernel<T, W, kRows>;
      const auto outputs = static_cast<int>(matrix.weight().size(0));
      const auto inputs = static_cast<int>(matrix.weight().size(1));
      Kernel kernel{};
      kernel.x = Data<T>(x);
      if (options.norm != nullptr) {
        if (Kernel::NormFits(rows_, inputs)) {
          kernel.alpha = Data<float>(*options.norm);
        } else {
          Norm<T>(queue, a, {}, *options.norm, a.normed);
          kernel.x = Data<T>(a.normed);
        }
      }
      kernel.eps = static_cast<float>(nn::kRmsNormEps);
      kernel.weights = Data<W>(matrix.weight());
      if (matrix.scales().defined()) kernel.scales = Data<float>(matrix.scales());
      if (options.addend != nullptr) kernel.addend = Data<T>(*options.addend);
      kernel.output = Data<T>(output);
      kernel.rows = rows_;
      kernel.inputs = inputs;
      kernel.outputs = outputs;
      kernel.gated = options.gated;
      kernel.split = Kernel::Split(outputs, inputs, kTilesWanted);
      kernel.blocks = std::min(kernel.Tiles(), kBlocksOfProduct);
      queue(kernel);
    });
  }

  template <class T>
  static T* Data(const at::Tensor& tensor) {
    return static_cast<T*>(tensor.data_ptr());
  }

  template <class T, class Queue>
  void Norm(const Queue& queue, const Activations& a, const Addend& addend, const at::Tensor& alpha,
            const at::Tensor& output) {
    queue(cuda::NormKernel<T>{.x = Data<T>(a.x),
                              .branch = static_cast<const T*>(addend.branch),
                              .branch_rows = addend.branch_rows,
                              .branch_stride = addend.branch_stride,
                              .alpha = Data<float>(alpha),
                              .output = Data<T>(output),
                              .rows = rows_,
                              .dim = static_cast<int>(a.x.size(1)),
                              .eps = static_cast<float>(nn::kRmsNormEps)});
  }

  template <class T, class Queue>
  void Attend(const Queue& queue, const Activations& a, const StepTensors::Layer& layer,
              cuda::AttendKernel<T> attend) {
    attend.qkv = Data<T>(a.qkv);
    attend.keys = Data<T>(layer.keys);
    attend.values = Data<T>(layer.values);
    attend.output = Data<T>(a.attended);
    attend.partial = Data<float>(partial_);
    attend.splits = Splits(attend.heads);
    queue(attend);
    if (attend.splits > 1) {
      queue(cuda::CombineKernel<T>{.partial = attend.partial,
                                   .output = attend.output,
                                   .rows = rows_,
                                   .heads = attend.heads,
                                   .dim = attend.dim,
                                   .splits = attend.splits});
    }
  }

  // One layer with few rows, from a.x to a.x.
  template <class T, class Queue>
  void FusedLayer(const Queue& queue, Activations& a, const StepTensors::Layer& layer,
                  const cuda::AttendKernel<T>& attend) {
    const nn::LayerMatrices& matrices = layer.matrices;
    Product<T>(queue, a, a.x, matrices.in_proj, a.qkv, {.norm = &layer.norm1});
    Attend(queue, a, layer, attend);
    Product<T>(queue, a, a.attended, matrices.out_proj, a.x, {.addend = &a.x});
    Product<T>(queue, a, a.x, matrices.mlp_in, a.gated, {.norm = &layer.norm2, .gated = true});
    Product<T>(queue, a, a.gated, matrices.mlp_out, a.x, {.addend = &a.x});
  }

  // One layer. `addend` is what the one before left to add; the layer leaves a.branch.
  template <class T, class Queue>
  void Layer(const Queue& queue, Activations& a, const StepTensors::Layer& layer,
             const Addend& addend, const cuda::AttendKernel<T>& attend) {
    Norm<T>(queue, a, addend, layer.norm1, a.normed);
    Multiply<T>(queue, a.normed, layer.matrices.in_proj, a.qkv);
    Attend(queue, a, layer, attend);
    Multiply<T>(queue, a.attended, layer.matrices.out_proj, a.branch);
    Norm<T>(queue, a, {.branch = a.branch.data_ptr()}, layer.norm2, a.normed);
    Multiply<T>(queue, a.normed, layer.matrices.mlp_in, a.wide);
    queue(cuda::GateKernel<T>{.input = Data<T>(a.wide),
                              .output = Data<T>(a.gated),
                              .rows = rows_,
                              .hidden = static_cast<int>(a.gated.size(1))});
    Multiply<T>(queue, a.gated, layer.matrices.mlp_out, a.branch);
  }

  template <class T>
  cuda::SampleKernel<T> Sampling(const at::Tensor& logits, int stream) const {
    const StepRows rows = Rows();
    const int settings = stream == 0 ? 0 : rows_;
    return {.logits = Data<T>(logits),
            .fixed = rows.fixed + stream,
            .temperature = rows.temperature + settings,
            .top_k = rows.top_k + settings,
            .uniforms = rows.uniforms + stream,
            .chosen = Data<int32_t>(chosen_) + stream,
            .stride = rows.chosen,
            .not_fixed = kUngenerated,
            .rows = rows_,
            .card = static_cast<int>(logits.size(1))};
  }

  template <class T>
  cuda::AttendKernel<T> Attention(const nn::RingAttentionSpec& spec) const {
    cuda::AttendKernel<T> attend{};
    attend.rows = rows_;
    attend.heads = spec.num_heads;
    attend.dim = spec.head_dim;
    attend.capacity = spec.capacity;
    attend.context = spec.context;
    attend.mask_next_slot = spec.rule == nn::RingRule::kMaskNextSlot;
    attend.splits = 1;
    return attend;
  }

  template <class T, class Queue>
  void EnqueueAs(const Queue& queue) {
    const StepRows rows = Rows();
    queue(cuda::EmbedKernel<T>{.tables = static_cast<const T* const*>(tables_.data_ptr()),
                               .tokens = rows.tokens,
                               .output = Data<T>(main_.x),
                               .rows = rows_,
                               .streams = rows.streams,
                               .dim = static_cast<int>(main_.x.size(1))});
    cuda::AttendKernel<T> attend = Attention<T>(temporal_);
    attend.places = Data<int64_t>(tensors_.places);
    attend.slots = rows.slots;
    attend.positions = rows.positions;
    const at::Tensor& frequencies = tensors_.inverse_frequencies;
    attend.frequencies = frequencies.defined() ? Data<float>(frequencies) : nullptr;
    Addend addend;
    for (const StepTensors::Layer& layer : tensors_.layers) {
      if (fused_) {
        FusedLayer(queue, main_, layer, attend);
        continue;
      }
      Layer(queue, main_, layer, addend, attend);
      addend = {.branch = main_.branch.data_ptr()};
    }
    Norm<T>(queue, main_, addend, tensors_.out_norm, hidden_);
    if (fused_) {
      Product<T>(queue, main_, hidden_, tensors_.text_linear, text_logits_, {});
    } else {
      Multiply<T>(queue, hidden_, tensors_.text_linear, text_logits_);
    }
    queue(Sampling<T>(text_logits_, 0));
    if (fused_) {
      FusedDepth<T>(queue);
    } else {
      Depth<T>(queue);
    }
  }

  template <class T, class Queue>
  void Depth(const Queue& queue) {
    const StepRows rows = Rows();
    cuda::AttendKernel<T> attend = Attention<T>(depth_);
    for (size_t k = 0; k < tensors_.depth.size(); ++k) {
      const StepTensors::DepthStep& step = tensors_.depth[k];
      attend.position = static_cast<int>(k);
      Multiply<T>(queue, hidden_, step.input, small_.x);
      Addend addend{.branch = step.embedding.data_ptr(),
                    .branch_rows = Data<int32_t>(chosen_) + k,
                    .branch_stride = rows.chosen};
      for (const StepTensors::Layer& layer : step.layers) {
        Layer(queue, small_, layer, addend, attend);
        addend = {.branch = small_.branch.data_ptr()};
      }
      small_.x.add_(small_.branch);
      at::Tensor logits = audio_logits_[static_cast<int64_t>(k)];
      Multiply<T>(queue, small_.x, step.output, logits);
      queue(Sampling<T>(logits, static_cast<int>(k) + 1));
    }
  }

  template <class T, class Queue>
  void FusedDepth(const Queue& queue) {
    const StepTensors::DepthStep& first = tensors_.depth[0];
    ForFewRows<T>(first.input, [&]<class W, int kRows>() {
      using Kernel = cuda::DepthKernel<T, W, kRows>;
      const auto shape = [](const nn::Linear& matrix, bool gated = false) {
        typename Kernel::Product product{};
        product.outputs = static_cast<int>(matrix.weight().size(0));
        product.inputs = static_cast<int>(matrix.weight().size(1));
        product.gated = gated;
        product.split = product.Split(product.outputs, product.inputs, Kernel::kGrid);
        return typename Kernel::Shape{product.outputs, product.inputs, gated, product.split,
                                      std::min(product.Tiles(), Kernel::kGrid)};
      };
      const StepTensors::Layer& layer = first.layers[0];
      Kernel kernel{};
      kernel.step_table = static_cast<const typename Kernel::Step*>(depth_steps_.data_ptr());
      kernel.layer_table = static_cast<const typename Kernel::Layer*>(depth_layers_.data_ptr());
      kernel.steps = static_cast<int>(tensors_.depth.size());
      kernel.layers = static_cast<int>(first.layers.size());
      kernel.rows = rows_;
      kernel.eps = static_cast<float>(nn::kRmsNormEps);
      kernel.input = shape(first.input);
      kernel.in_proj = shape(layer.matrices.in_proj);
      kernel.out_proj = shape(layer.matrices.out_proj);
      kernel.mlp_in = shape(layer.matrices.mlp_in, /*gated=*/true);
      kernel.mlp_out = shape(layer.matrices.mlp_out);
      kernel.output = shape(first.output);
      kernel.hidden = Data<T>(hidden_);
      kernel.x = Data<T>(small_.x);
      kernel.qkv = Data<T>(small_.qkv);
      kernel.attended = Data<T>(small_.attended);
      kernel.gated = Data<T>(small_.gated);
      kernel.logits = Data<T>(audio_logits_);
      kernel.attend = Attention<T>(depth_);
      kernel.attend.qkv = kernel.qkv;
      kernel.attend.keys = Data<T>(depth_keys_);
      kernel.attend.values = Data<T>(depth_values_);
      kernel.attend.output = kernel.attended;
      kernel.ring = depth_keys_[0].numel();
      kernel.sample = Sampling<T>(audio_logits_[0], 1);
      queue(kernel);
    });
  }

  // So many runs that the blocks of all rows and heads fill a GPU.
  int Splits(int heads) const;
  StepRows Rows() const { return RowsIn(input_.data_ptr()); }
  // Of the constructor.
  bool FitsFewRows() const;
  void WriteDepthTables();

  // Tiles of a product that keep the largest of the GPUs busy to the end, and blocks to share them.
  static constexpr int kTilesWanted = 256;
  static constexpr int kBlocksOfProduct = 512;

  StepTensors tensors_;
  nn::RingAttentionSpec temporal_;
  nn::RingAttentionSpec depth_;
  int rows_;
  bool fused_;
  Activations main_;
  Activations small_;
  at::Tensor tables_;      // [streams] int64: addresses of the embeddings
  at::Tensor partial_;     // f32, for the splits of the attention
  at::Tensor depth_keys_;  // [layers, rows, heads, capacity, head_dim], of one frame
  at::Tensor depth_values_;
  // Where fused: int64, as the tables of DepthKernel.
  at::Tensor depth_steps_;
  at::Tensor depth_layers_;
  at::Tensor scratch_;  // the largest of the quantised matrices; where fused undefined
  at::Tensor input_;
  at::Tensor chosen_;
  at::Tensor hidden_;
  at::Tensor text_logits_;
  at::Tensor audio_logits_;
};

}  // namespace ppx::lm
