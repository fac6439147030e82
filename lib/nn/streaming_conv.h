// lib/nn/streaming_conv.h: causal convolutions that are given their input piece by piece.
//
// However the input is cut, the output is that of the whole signal. Weights are float32.
// x: [n, in_channels, T], T a multiple of the stride; row r belongs to slot slots[r].
#pragma once

#include <ATen/ATen.h>

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
  int64_t dilation = 1;
  int64_t groups = 1;
  bool bias = true;
  FirstPad first_pad = FirstPad::kZeros;
};

// Pads the first piece on the left by (effective kernel - stride), then keeps the input's tail.
class StreamingConv {
 public:
  // Reads `name`.weight [out, in / groups, kernel] and, with spec.bias, `name`.bias [out].
  StreamingConv(const ConvSpec& spec, const std::string& name, WeightLoader& loader,
                StateLayout& layout);

  at::Tensor Forward(const at::Tensor& x, SlotState& state,
                     const SlotIds& slots) const;  // [n, out, T / stride]

 private:
  ConvSpec spec_;
  int64_t tail_;  // samples kept between calls
  at::Tensor weight_;
  at::Tensor bias_;
  StateLayout::TensorId tail_id_ = 0;
  StateLayout::CounterId begun_id_ = 0;
};

// Overlap-add: emits stride * T samples and keeps (kernel - stride) partial sums, without bias.
class StreamingTransposedConv {
 public:
  // Reads `name`.weight [in, out / groups, kernel] and, with spec.bias, `name`.bias [out].
  StreamingTransposedConv(const ConvSpec& spec, const std::string& name, WeightLoader& loader,
                          StateLayout& layout);

  at::Tensor Forward(const at::Tensor& x, SlotState& state,
                     const SlotIds& slots) const;  // [n, out, T * stride]

 private:
  ConvSpec spec_;
  int64_t partial_;
  at::Tensor weight_;
  at::Tensor bias_;
  StateLayout::TensorId partial_id_ = 0;
};

}  // namespace ppx::nn
