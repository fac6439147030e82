// lib/lm/cuda/depth.cuh: the depth transformer of a frame as one kernel: all its steps, layers,
// logits and draws. Its matrices are small and each needs the one before, so as kernels of their
// own most of the time would go into starting and ending them.
#pragma once

#include "lm/cuda/attend.cuh"
#include "lm/cuda/row_product.cuh"
#include "lm/cuda/sample.cuh"

namespace ppx::lm::cuda {

// Phases of a step: the input, five for each layer, the logits, the draw.
template <class T, class W, int kRows>
struct DepthKernel {
  using Product = RowProductKernel<T, W, kRows>;

  // Tables on the device; the host writes them as words of 64 bits.
  struct Matrix {
    const W* weights;
    const float* scales;  // null: 1
  };
  struct Layer {
    Matrix in_proj, out_proj, mlp_in, mlp_out;
    const float* norm1;  // [dim]
    const float* norm2;
  };
  struct Step {
    Matrix input, output;
    const T* embedding;  // [.., dim], of the token before
  };
  struct Shape {
    int outputs;
    int inputs;
    bool gated;
    int split;
    int blocks;  // at most kGrid
  };

  const Step* step_table;    // [steps]
  const Layer* layer_table;  // [steps, layers]
  int steps;
  int layers;
  int rows;
  float eps;
  Shape input, in_proj, out_proj, mlp_in, mlp_out, output;
  const T* hidden;  // [rows, input.inputs], of the temporal transformer
  T* x;             // [rows, dim]
  T* qkv;           // [rows, 3 * dim]
  T* attended;      // [rows, dim]
  T* gated;         // [rows, mlp_out.inputs]
  T* logits;        // [steps, rows, card]
  // Of layer 0 and step 0; keys and values of a layer are `ring` behind those of the one before.
  AttendKernel<T> attend;
  int64_t ring;
  // Of step 0: token k is in column k of chosen, behind the text's, and so is all that is read.
  SampleKernel<T> sample;

  enum class Kind { kInput, kInProj, kAttend, kOutProj, kMlpIn, kMlpOut, kLogits, kSample };
  struct Task {
    Kind kind;
    int step;
    int layer;
    Product product;  // of a phase that has none: the next one's
  };

  // What a phase is takes registers too.
  static constexpr int kThreads = kRows > 4 ? 256 : 512;
  static constexpr int kGrid = 128;
  static constexpr int kHeadsOfBlock = 4;
  union Shared {
    typename Product::Shared product;
    typename AttendKernel<T>::Shared attend[kHeadsOfBlock];
    typename SampleKernel<T>::Shared sample;
  };

  PPX_HOST_DEVICE int Phases() const { return steps * PhasesOfStep(); }

  PPX_HOST_DEVICE int64_t Blocks(int phase) const {
    const Kind kind = KindOf(phase);
    if (kind == Kind::kSample) return rows;
    if (kind == Kind::kAttend) {
      return (int64_t{rows} * attend.heads + kHeadsOfBlock - 1) / kHeadsOfBlock;
    }
    return ShapeOf(kind).blocks;
  }

  PPX_DEVICE Task At(int phase) const {
    Task task{};
    task.kind = KindOf(phase);
    task.step = phase / PhasesOfStep();
    task.layer = LayerOf(phase);
    const bool has_product = task.kind != Kind::kAttend && task.kind != Kind::kSample;
    const int with_product = has_product || phase + 1 == Phases() ? phase : phase + 1;
    task.product = ProductOf(with_product);
    return task;
  }

  template <class Team>
  PPX_DEVICE void Run(Team team, const Task& task, int64_t block, Shared& shared) const {
    if (task.kind == Kind::kAttend) {
      AttendKernel<T> kernel = attend;
      kernel.keys += task.layer * ring;
      kernel.values += task.layer * ring;
      kernel.position = task.step;
      for (int i = team.group(); i < kHeadsOfBlock; i += team.groups()) {
        const int64_t head = block * kHeadsOfBlock + i;
        if (head < int64_t{rows} * attend.heads) {
          kernel(GroupTeam<Team>{team}, head, shared.attend[i]);
        }
      }
    } else if (task.kind == Kind::kSample) {
      SampleKernel<T> kernel = sample;
      kernel.logits += int64_t{task.step} * rows * sample.card;
      kernel.fixed += task.step;
      kernel.uniforms += task.step;
      kernel.chosen += task.step;
      kernel(team, block, shared.sample);
    } else {
      task.product(team, block, shared.product);
    }
  }

  template <class Team>
  PPX_DEVICE void Prefetch(Team team, const Task& task, int64_t block, int64_t sharers) const {
    task.product.Prefetch(team, block, sharers);
  }

 private:
  static constexpr int kPhasesOfLayer = 5;

  PPX_HOST_DEVICE int PhasesOfStep() const { return layers * kPhasesOfLayer + 3; }
  PPX_HOST_DEVICE int LayerOf(int phase) const {
    return (phase % PhasesOfStep() - 1) / kPhasesOfLayer;
  }
  PPX_HOST_DEVICE Kind KindOf(int phase) const {
    const int in_step = phase % PhasesOfStep();
    if (in_step == 0) return Kind::kInput;
    if (in_step == PhasesOfStep() - 1) return Kind::kSample;
    if (in_step == PhasesOfStep() - 2) return Kind::kLogits;
    return static_cast<Kind>(static_cast<int>(Kind::kInProj) + (in_step - 1) % kPhasesOfLayer);
  }

  // Of a kind that has a product.
  PPX_HOST_DEVICE const Shape& ShapeOf(Kind kind) const {
    switch (kind) {
      case Kind::kInput:
        return input;
      case Kind::kInProj:
        return in_proj;
      case Kind::kOutProj:
        return out_proj;
      case Kind::kMlpIn:
        return mlp_in;
      case Kind::kMlpOut:
        return mlp_out;
      default:
        return output;
    }
  }

  PPX_DEVICE Product ProductOf(int phase) const {
    const int step = phase / PhasesOfStep();
    const Kind kind = KindOf(phase);
    const Step& of_step = step_table[step];
    const Layer* of_layer = layer_table + int64_t{step} * layers + LayerOf(phase);
    switch (kind) {
      case Kind::kInput: {
        Product product = Make(kind, of_step.input, hidden, x);
        product.addend = of_step.embedding;
        product.addend_rows = sample.chosen - 1 + step;
        product.addend_stride = sample.stride;
        return product;
      }
      case Kind::kInProj: {
        Product product = Make(kind, of_layer->in_proj, x, qkv);
        product.alpha = of_layer->norm1;
        return product;
      }
      case Kind::kOutProj: {
        Product product = Make(kind, of_layer->out_proj, attended, x);
        product.addend = x;
        return product;
      }
      case Kind::kMlpIn: {
        Product product = Make(kind, of_layer->mlp_in, x, gated);
        product.alpha = of_layer->norm2;
        return product;
      }
      case Kind::kMlpOut: {
        Product product = Make(kind, of_layer->mlp_out, gated, x);
        product.addend = x;
        return product;
      }
      default:
        return Make(kind, of_step.output, x, logits + int64_t{step} * rows * sample.card);
    }
  }

  PPX_DEVICE Product Make(Kind kind, const Matrix& matrix, const T* from, T* to) const {
    const Shape& shape = ShapeOf(kind);
    Product product{};
    product.x = from;
    product.eps = eps;
    product.weights = matrix.weights;
    product.scales = matrix.scales;
    product.output = to;
    product.rows = rows;
    product.inputs = shape.inputs;
    product.outputs = shape.outputs;
    product.gated = shape.gated;
    product.split = shape.split;
    product.blocks = shape.blocks;
    return product;
  }
};

}  // namespace ppx::lm::cuda
