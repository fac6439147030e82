#include "nn/streaming_conv.h"

#include "base/error.h"

namespace ppx::nn {

StreamingConv::StreamingConv(const ConvSpec& spec, const std::string& name, WeightLoader& loader,
                             StateLayout& layout)
    : spec_(spec), tail_((spec.kernel - 1) * spec.dilation + 1 - spec.stride) {
  if (tail_ < 0) base::ThrowBadInput(name + ": a convolution's stride is longer than its kernel");
  weight_ = loader.TakeFloat(name + ".weight",
                             {spec.out_channels, spec.in_channels / spec.groups, spec.kernel});
  if (spec.bias) bias_ = loader.TakeFloat(name + ".bias", {spec.out_channels});
  if (tail_ > 0) tail_id_ = layout.AddTensor({spec.in_channels, tail_}, at::kFloat);
  if (spec.first_pad == FirstPad::kReplicate) begun_id_ = layout.AddCounter();
}

at::Tensor StreamingConv::Forward(const at::Tensor& x, SlotState& state,
                                  const SlotIds& slots) const {
  at::Tensor input = x;
  if (tail_ > 0) {
    at::Tensor tail = state.Gather(tail_id_, slots);
    if (spec_.first_pad == FirstPad::kReplicate) {
      for (size_t row = 0; row < slots.size(); ++row) {
        if (slots[row] == kPadding || state.counter(begun_id_, slots[row]) != 0) continue;
        state.counter(begun_id_, slots[row]) = 1;
        const auto r = static_cast<int64_t>(row);
        tail.select(0, r).copy_(x.select(0, r).narrow(1, 0, 1).expand({spec_.in_channels, tail_}));
      }
    }
    input = at::cat({tail, x}, 2);
    state.Scatter(tail_id_, slots, input.narrow(2, input.size(2) - tail_, tail_));
  }
  return at::conv1d(input, weight_, bias_, at::IntArrayRef{spec_.stride}, at::IntArrayRef{0},
                    at::IntArrayRef{spec_.dilation}, spec_.groups);
}

StreamingTransposedConv::StreamingTransposedConv(const ConvSpec& spec, const std::string& name,
                                                 WeightLoader& loader, StateLayout& layout)
    : spec_(spec), partial_(spec.kernel - spec.stride) {
  if (partial_ < 0)
    base::ThrowBadInput(name + ": a convolution's stride is longer than its kernel");
  weight_ = loader.TakeFloat(name + ".weight",
                             {spec.in_channels, spec.out_channels / spec.groups, spec.kernel});
  if (spec.bias) bias_ = loader.TakeFloat(name + ".bias", {spec.out_channels});
  if (partial_ > 0) partial_id_ = layout.AddTensor({spec.out_channels, partial_}, at::kFloat);
}

at::Tensor StreamingTransposedConv::Forward(const at::Tensor& x, SlotState& state,
                                            const SlotIds& slots) const {
  at::Tensor full = at::conv_transpose1d(x, weight_, {}, spec_.stride, 0, 0, spec_.groups);
  const int64_t emitted = x.size(2) * spec_.stride;
  if (partial_ > 0) {
    full.narrow(2, 0, partial_).add_(state.Gather(partial_id_, slots));
    state.Scatter(partial_id_, slots, full.narrow(2, emitted, partial_));
  }
  at::Tensor out = full.narrow(2, 0, emitted);
  return bias_.defined() ? out + bias_.unsqueeze(-1) : out.contiguous();
}

}  // namespace ppx::nn
