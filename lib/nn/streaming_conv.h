// lib/nn/streaming_conv.h: causal convolutions that are given their input piece by piece.
//
// Everything is channel-last: x is [n, T, in_channels], row r of slot slots[r]. So a step of a
// convolution is one row of a product: a window of kernel * in_channels numbers side by side, which
// overlaps with the next. What a slot keeps between calls is the last input that a later window
// still reaches.
//
// However the input is cut, the output is that of the whole signal. Where the loader packs weights
// (always in float32), its bits depend neither on the cuts nor on the other rows nor on the number
// of threads; without, the same is computed by LibTorch's operations, on any device.
#pragma once

#include <ATen/ATen.h>

#include <string>

#include "nn/linear.h"
#include "nn/slot_state.h"
#include "nn/weight_loader.h"

namespace ppx::nn {

// What stands to the left of the first sample.
enum class FirstPad { kZeros, kReplicate };

struct ConvSpec {
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;    // not of a transposed one
  bool depthwise = false;  // of a transposed one: each channel has a kernel of its own
  bool bias = true;
  bool elu = false;                       // x is taken through ELU first
  FirstPad first_pad = FirstPad::kZeros;  // not of a transposed one
};

// The input of a convolution behind what a slot has kept of the input before.
class InputTail {
 public:
  // `steps` are kept, those of `spec` decide about the rest.
  InputTail(const ConvSpec& spec, int64_t steps, const WeightLoader& loader, StateLayout& layout);

  // x: [n, T, channels] -> [n, steps + T, channels], ELU applied where the spec says so. Advances
  // the slots; padding rows begin with zeros.
  at::Tensor Extend(const at::Tensor& x, SlotState& state, const SlotIds& slots) const;

  // What another implementation of Extend needs (codec/cuda).
  int64_t steps() const { return steps_; }
  StateLayout::TensorId tail() const { return tail_; }  // [slots, steps, channels]; not of 0 steps
  bool replicate() const { return replicate_; }
  // Whether a slot's next call is its first. Known where that replicates.
  bool AtStart(const SlotState& state, int slot) const { return state.counter(begun_, slot) == 0; }
  // Whether this is the first call for that slot, of those that replicate then; it has then begun.
  bool Begins(SlotState& state, int slot) const;

 private:
  // Fills `extended` behind its first `steps_` steps and keeps its last ones.
  void ExtendFused(const at::Tensor& x, at::Tensor& extended, SlotState& state,
                   const SlotIds& slots) const;

  int64_t channels_;
  int64_t steps_;
  bool elu_;
  bool replicate_;
  bool fused_;                        // one pass over the input, on the CPU
  StateLayout::TensorId tail_ = 0;    // [steps, channels]
  StateLayout::CounterId begun_ = 0;  // where the first call replicates
};

// Stands (effective kernel - stride) steps back: a call of T steps gives T / stride, T a multiple
// of the stride.
class StreamingConv {
 public:
  // Reads `name`.weight [out, in, kernel] and, with spec.bias, `name`.bias [out].
  StreamingConv(const ConvSpec& spec, const std::string& name, WeightLoader& loader,
                StateLayout& layout);

  at::Tensor Forward(const at::Tensor& x, SlotState& state,
                     const SlotIds& slots) const;  // [n, T / stride, out]

  // What another implementation of Forward needs (codec/cuda).
  const ConvSpec& spec() const { return spec_; }
  const InputTail& tail() const { return tail_; }
  const Linear& product() const { return product_; }  // [out, kernel * in]

 private:
  ConvSpec spec_;
  InputTail tail_;
  Linear product_;
};

// Gives stride * T steps, each the sum over the inputs that reach it: the one at its place and as
// many before as the kernel has strides. A call therefore gives no partial sums and keeps none.
class StreamingTransposedConv {
 public:
  // Reads `name`.weight [in, out, kernel], a depthwise one's [in, 1, kernel], and, with spec.bias,
  // `name`.bias [out].
  StreamingTransposedConv(const ConvSpec& spec, const std::string& name, WeightLoader& loader,
                          StateLayout& layout);

  at::Tensor Forward(const at::Tensor& x, SlotState& state,
                     const SlotIds& slots) const;  // [n, T * stride, out]

  // What another implementation of Forward needs (codec/cuda).
  const ConvSpec& spec() const { return spec_; }
  const InputTail& tail() const { return tail_; }
  int64_t reach() const { return reach_; }
  const Linear& product() const { return product_; }
  const at::Tensor& weight() const { return weight_; }
  const at::Tensor& bias() const { return bias_; }

 private:
  at::Tensor Depthwise(const at::Tensor& windows) const;

  ConvSpec spec_;
  int64_t reach_;  // inputs that an output is summed over
  InputTail tail_;
  Linear product_;     // [stride * out, reach * in]; not of a depthwise one
  at::Tensor weight_;  // [reach, stride, channels] of a depthwise one
  at::Tensor bias_;    // [channels], of a depthwise one
};

}  // namespace ppx::nn
