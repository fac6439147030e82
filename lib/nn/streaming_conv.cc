#include "nn/streaming_conv.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/loops.h"
#include "kernels/parallel.h"

namespace ppx::nn {
namespace {

int64_t LeftSteps(const ConvSpec& spec, const std::string& name) {
  const int64_t steps = (spec.kernel - 1) * spec.dilation + 1 - spec.stride;
  if (steps < 0) base::ThrowBadInput(name + ": a convolution's stride is longer than its kernel");
  return steps;
}

int64_t Reach(const ConvSpec& spec, const std::string& name) {
  if (spec.kernel < spec.stride) {
    base::ThrowBadInput(name + ": a convolution's stride is longer than its kernel");
  }
  return (spec.kernel + spec.stride - 1) / spec.stride;
}

// [n, steps, channels] -> [n, count, taps * channels], row i from step i * stride on. A view, save
// where taps lie apart.
at::Tensor Windows(const at::Tensor& x, int64_t count, int64_t taps, int64_t stride,
                   int64_t dilation) {
  const int64_t channels = x.size(2);
  return x
      .as_strided({x.size(0), count, taps, channels},
                  {x.size(1) * channels, stride * channels, dilation * channels, 1})
      .reshape({x.size(0), count, taps * channels});
}

}  // namespace

InputTail::InputTail(const ConvSpec& spec, int64_t steps, const WeightLoader& loader,
                     StateLayout& layout)
    : channels_(spec.in_channels),
      steps_(steps),
      elu_(spec.elu),
      replicate_(spec.first_pad == FirstPad::kReplicate && steps > 0),
      fused_(loader.options().form.has_value()) {
  if (steps > 0) tail_ = layout.AddTensor({steps, channels_}, at::kFloat);
  if (replicate_) begun_ = layout.AddCounter();
}

bool InputTail::Begins(SlotState& state, int slot) const {
  if (!replicate_ || slot == kPadding || state.counter(begun_, slot) != 0) return false;
  state.counter(begun_, slot) = 1;
  return true;
}

at::Tensor InputTail::Extend(const at::Tensor& x, SlotState& state, const SlotIds& slots) const {
  if (fused_) {
    if (steps_ == 0 && !elu_) return x.contiguous();
    at::Tensor extended = at::empty({x.size(0), steps_ + x.size(1), channels_}, x.options());
    ExtendFused(x.contiguous(), extended, state, slots);
    return extended;
  }
  const at::Tensor input = (elu_ ? at::elu(x) : x).contiguous();
  if (steps_ == 0) return input;
  at::Tensor extended = at::cat({state.Gather(tail_, slots), input}, 1);
  for (size_t row = 0; row < slots.size(); ++row) {
    if (!Begins(state, slots[row])) continue;
    const at::Tensor of_row = extended.select(0, static_cast<int64_t>(row));
    of_row.narrow(0, 0, steps_).copy_(of_row.narrow(0, steps_, 1));
  }
  state.Scatter(tail_, slots, extended.narrow(1, x.size(1), steps_));
  return extended;
}

void InputTail::ExtendFused(const at::Tensor& x, at::Tensor& extended, SlotState& state,
                            const SlotIds& slots) const {
  const int64_t kept = steps_ * channels_;
  const int64_t given = x.size(1) * channels_;
  const float* from = x.const_data_ptr<float>();
  float* to = extended.data_ptr<float>();
  constexpr int64_t kPiece = 1 << 13;  // numbers that are worth a task
  const int64_t pieces = std::max<int64_t>(1, given / kPiece);
  kernels::ParallelFor(x.size(0) * pieces, [&](int64_t task) {
    const int64_t row = task / pieces;
    const int64_t begin = given * (task % pieces) / pieces;
    const int64_t end = given * (task % pieces + 1) / pieces;
    const float* source = from + row * given;
    float* target = to + row * (kept + given) + kept;
    if (elu_) {
      kernels::CurrentElu()(source + begin, target + begin, end - begin);
    } else {
      std::copy(source + begin, source + end, target + begin);
    }
  });
  if (steps_ == 0) return;
  float* tails = state.tensor(tail_).data_ptr<float>();
  for (size_t row = 0; row < slots.size(); ++row) {
    const int slot = slots[row];
    float* left = to + static_cast<int64_t>(row) * (kept + given);
    if (slot == kPadding) {
      std::fill(left, left + kept, 0.0F);
      continue;
    }
    float* tail = tails + slot * kept;
    if (Begins(state, slot)) {
      for (int64_t step = 0; step < steps_; ++step) {
        std::copy(left + kept, left + kept + channels_, left + step * channels_);
      }
    } else {
      std::copy(tail, tail + kept, left);
    }
    std::copy(left + given, left + given + kept, tail);
  }
}

StreamingConv::StreamingConv(const ConvSpec& spec, const std::string& name, WeightLoader& loader,
                             StateLayout& layout)
    : spec_(spec), tail_(spec, LeftSteps(spec, name), loader, layout) {
  const at::Tensor weight =
      loader.TakeFloat(name + ".weight", {spec.out_channels, spec.in_channels, spec.kernel});
  const at::Tensor bias =
      spec.bias ? loader.TakeFloat(name + ".bias", {spec.out_channels}) : at::Tensor();
  product_ = loader.MakeLinear(weight.transpose(1, 2).reshape({spec.out_channels, -1}), bias);
}

at::Tensor StreamingConv::Forward(const at::Tensor& x, SlotState& state,
                                  const SlotIds& slots) const {
  const at::Tensor extended = tail_.Extend(x, state, slots);
  return product_(
      Windows(extended, x.size(1) / spec_.stride, spec_.kernel, spec_.stride, spec_.dilation));
}

StreamingTransposedConv::StreamingTransposedConv(const ConvSpec& spec, const std::string& name,
                                                 WeightLoader& loader, StateLayout& layout)
    : spec_(spec), reach_(Reach(spec, name)), tail_(spec, reach_ - 1, loader, layout) {
  const int64_t outputs = spec.depthwise ? 1 : spec.out_channels;
  const at::Tensor weight =
      loader.TakeFloat(name + ".weight", {spec.in_channels, outputs, spec.kernel});
  const at::Tensor bias =
      spec.bias ? loader.TakeFloat(name + ".bias", {spec.out_channels}) : at::Tensor();
  // Tap j + i * stride is what the input i steps back adds to output j; the oldest comes first.
  const at::Tensor taps = at::constant_pad_nd(weight, {0, reach_ * spec.stride - spec.kernel})
                              .view({spec.in_channels, outputs, reach_, spec.stride})
                              .flip(2);  // [in, out, reach, stride]
  if (spec.depthwise) {
    weight_ = taps.permute({2, 3, 0, 1}).squeeze(-1).contiguous();
    bias_ = bias;
    return;
  }
  product_ = loader.MakeLinear(taps.permute({3, 1, 2, 0}).reshape({spec.stride * outputs, -1}),
                               bias.defined() ? bias.repeat({spec.stride}) : bias);
}

at::Tensor StreamingTransposedConv::Depthwise(const at::Tensor& windows) const {
  at::Tensor sum;
  for (int64_t tap = 0; tap < reach_; ++tap) {
    const at::Tensor term = windows.narrow(2, tap * spec_.in_channels, spec_.in_channels)
                                .unsqueeze(2)
                                .mul(weight_[tap]);  // [n, T, stride, channels]
    // Rounded after each operation, on every path of LibTorch's loops.
    sum = sum.defined() ? sum.add_(term) : term;
  }
  return bias_.defined() ? sum.add_(bias_) : sum;
}

at::Tensor StreamingTransposedConv::Forward(const at::Tensor& x, SlotState& state,
                                            const SlotIds& slots) const {
  const int64_t steps = x.size(1);
  const at::Tensor windows = Windows(tail_.Extend(x, state, slots), steps, reach_, 1, 1);
  const at::Tensor y = spec_.depthwise ? Depthwise(windows) : product_(windows);
  return y.view({x.size(0), steps * spec_.stride, spec_.out_channels});
}

}  // namespace ppx::nn
