// lib/lm/cuda/step_program.h: a step of the language model as a fixed list of operations on fixed
// memory, from the tokens in to the tokens chosen: no allocation, no question to the host, so that
// it can be recorded once and replayed.
//
// The kernels of this folder go to a queue that the caller brings; matrix products are LibTorch's,
// on its current stream. With a queue that runs the kernels' bodies on the host the same list runs
// on the CPU: so it is tested.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "lm/cuda/attend.cuh"
#include "lm/cuda/embed.cuh"
#include "lm/cuda/gate.cuh"
#include "lm/cuda/norm.cuh"
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

  // Whether the kernels can run these sizes and types: f32 or bf16, heads of an even width up to
  // 128, cards up to 2^18, and rows of whole 16-byte words where vectors are read.
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
  int streams() const { return static_cast<int>(tensors_.embeddings.size()); }
  // What Enqueue reads, laid out as StepRows: [StepRows::Words] int32.
  const at::Tensor& input() const { return input_; }
  // What it leaves: the tokens [rows, 1 + codebooks] int32, and on the way to them ...
  const at::Tensor& chosen() const { return chosen_; }
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

  static void Multiply(const at::Tensor& x, const nn::Linear& matrix, at::Tensor& out) {
    at::mm_out(out, x, matrix.weight().t());
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

  // One layer. `addend` is what the one before left to add; the layer leaves a.branch.
  template <class T, class Queue>
  void Layer(const Queue& queue, Activations& a, const StepTensors::Layer& layer,
             const Addend& addend, cuda::AttendKernel<T> attend) {
    Norm<T>(queue, a, addend, layer.norm1, a.normed);
    Multiply(a.normed, layer.matrices.in_proj, a.qkv);
    attend.qkv = Data<T>(a.qkv);
    attend.keys = Data<T>(layer.keys);
    attend.values = Data<T>(layer.values);
    attend.output = Data<T>(a.attended);
    attend.partial = Data<float>(partial_);
    attend.rows = rows_;
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
    Multiply(a.attended, layer.matrices.out_proj, a.branch);
    Norm<T>(queue, a, {.branch = a.branch.data_ptr()}, layer.norm2, a.normed);
    Multiply(a.normed, layer.matrices.mlp_in, a.wide);
    queue(cuda::GateKernel<T>{.input = Data<T>(a.wide),
                              .output = Data<T>(a.gated),
                              .rows = rows_,
                              .hidden = static_cast<int>(a.gated.size(1))});
    Multiply(a.gated, layer.matrices.mlp_out, a.branch);
  }

  template <class T, class Queue>
  void Sample(const Queue& queue, const at::Tensor& logits, int stream) {
    const StepRows rows = Rows();
    const int settings = stream == 0 ? 0 : rows_;
    queue(cuda::SampleKernel<T>{.logits = Data<T>(logits),
                                .fixed = rows.fixed + stream,
                                .temperature = rows.temperature + settings,
                                .top_k = rows.top_k + settings,
                                .uniforms = rows.uniforms + stream,
                                .chosen = Data<int32_t>(chosen_) + stream,
                                .stride = rows.chosen,
                                .not_fixed = kUngenerated,
                                .rows = rows_,
                                .card = static_cast<int>(logits.size(1))});
  }

  template <class T>
  static cuda::AttendKernel<T> Attention(const nn::RingAttentionSpec& spec) {
    cuda::AttendKernel<T> attend{};
    attend.heads = spec.num_heads;
    attend.dim = spec.head_dim;
    attend.capacity = spec.capacity;
    attend.context = spec.context;
    attend.mask_next_slot = spec.rule == nn::RingRule::kMaskNextSlot;
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
      Layer(queue, main_, layer, addend, attend);
      addend = {.branch = main_.branch.data_ptr()};
    }
    Norm<T>(queue, main_, addend, tensors_.out_norm, hidden_);
    Multiply(hidden_, tensors_.text_linear, text_logits_);
    Sample<T>(queue, text_logits_, 0);

    cuda::AttendKernel<T> attend_depth = Attention<T>(depth_);
    for (size_t k = 0; k < tensors_.depth.size(); ++k) {
      const StepTensors::DepthStep& step = tensors_.depth[k];
      attend_depth.position = static_cast<int>(k);
      Multiply(hidden_, step.input, small_.x);
      addend = {.branch = step.embedding.data_ptr(),
                .branch_rows = Data<int32_t>(chosen_) + k,
                .branch_stride = rows.chosen};
      for (const StepTensors::Layer& layer : step.layers) {
        Layer(queue, small_, layer, addend, attend_depth);
        addend = {.branch = small_.branch.data_ptr()};
      }
      small_.x.add_(small_.branch);
      at::Tensor logits = audio_logits_[static_cast<int64_t>(k)];
      Multiply(small_.x, step.output, logits);
      Sample<T>(queue, logits, static_cast<int>(k) + 1);
    }
  }

  // So many runs that the blocks of all rows and heads fill a GPU.
  int Splits(int heads) const;
  StepRows Rows() const;

  StepTensors tensors_;
  nn::RingAttentionSpec temporal_;
  nn::RingAttentionSpec depth_;
  int rows_;
  Activations main_;
  Activations small_;
  at::Tensor tables_;   // [streams] int64: addresses of the embeddings
  at::Tensor partial_;  // f32, for the splits of the attention
  at::Tensor input_;
  at::Tensor chosen_;
  at::Tensor hidden_;
  at::Tensor text_logits_;
  at::Tensor audio_logits_;
};

}  // namespace ppx::lm
