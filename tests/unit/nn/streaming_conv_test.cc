#include "nn/streaming_conv.h"

#include <algorithm>

#include "support/memory_checkpoint.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

using test::CheckClose;
using test::CheckEqual;

const WeightLoader::Options kPacked{.form = kernels::WeightForm::kF32};

// A convolution with random weights, and what the definition says about it.
template <typename Conv>
struct Built {
  Built(const ConvSpec& spec, const at::Tensor& weight_, const at::Tensor& bias_, bool packed)
      : weight(weight_),
        bias(spec.bias ? bias_ : at::Tensor()),
        loader(test::MemoryCheckpoint({{"c.weight", weight_}, {"c.bias", bias_}}),
               packed ? kPacked : WeightLoader::Options{}),
        conv(spec, "c", loader, layout) {
    loader.Finish();
  }

  // x: [1, T, in], cut into pieces of so many steps.
  at::Tensor Streamed(const at::Tensor& x, int64_t piece) const {
    SlotState state(layout, 2, at::kCPU);
    std::vector<at::Tensor> out;
    for (int64_t begin = 0; begin < x.size(1); begin += piece) {
      out.push_back(
          conv.Forward(x.narrow(1, begin, std::min(piece, x.size(1) - begin)), state, {1}));
    }
    return at::cat(out, 1);
  }

  at::Tensor weight, bias;
  WeightLoader loader;
  StateLayout layout;
  Conv conv;
};

Built<StreamingConv> RandomConv(const ConvSpec& spec, bool packed = true) {
  return {spec, at::randn({spec.out_channels, spec.in_channels, spec.kernel}),
          at::randn({spec.out_channels}), packed};
}

Built<StreamingTransposedConv> RandomTransposed(const ConvSpec& spec, bool packed = true) {
  return {spec, at::randn({spec.in_channels, spec.depthwise ? 1 : spec.out_channels, spec.kernel}),
          at::randn({spec.out_channels}), packed};
}

TEST_CASE("a streamed convolution is the whole one, over kernel, stride, dilation and pieces") {
  test::Seed(5);
  for (const int64_t kernel : {1, 3, 4, 7}) {
    for (const int64_t stride : {1, 2, 4}) {
      for (const int64_t dilation : {1, 2, 4}) {
        const int64_t tail = (kernel - 1) * dilation + 1 - stride;
        if (tail < 0) continue;
        for (const FirstPad pad : {FirstPad::kZeros, FirstPad::kReplicate}) {
          for (const bool packed : {false, true}) {
            CAPTURE(kernel);
            CAPTURE(stride);
            CAPTURE(dilation);
            CAPTURE(packed);
            const auto built = RandomConv({.in_channels = 5,
                                           .out_channels = 19,
                                           .kernel = kernel,
                                           .stride = stride,
                                           .dilation = dilation,
                                           .elu = kernel != 4,
                                           .first_pad = pad},
                                          packed);
            const int64_t length = 24 * stride;
            const at::Tensor x = at::randn({1, length, 5});
            const at::Tensor input = (kernel != 4 ? at::elu(x) : x).transpose(1, 2);
            const at::Tensor left = pad == FirstPad::kReplicate
                                        ? input.narrow(2, 0, 1).expand({1, 5, tail})
                                        : at::zeros({1, 5, tail});
            const at::Tensor expected =
                at::conv1d(at::cat({left, input}, 2), built.weight, built.bias,
                           at::IntArrayRef{stride}, at::IntArrayRef{0}, at::IntArrayRef{dilation})
                    .transpose(1, 2);
            const at::Tensor whole = built.Streamed(x, length);
            CheckClose(whole, expected, 1e-5);
            for (const int64_t piece : {stride, 5 * stride}) {
              const at::Tensor streamed = built.Streamed(x, piece);
              CheckClose(streamed, expected, 1e-5);
              if (packed) CheckEqual(streamed, whole);
            }
          }
        }
      }
    }
  }
}

TEST_CASE(
    "a streamed transposed convolution is the whole one, over kernel, stride, groups and pieces") {
  test::Seed(6);
  for (const int64_t stride : {1, 2, 5}) {
    for (const int64_t kernel : {stride, 2 * stride, 3 * stride + 1}) {
      for (const bool depthwise : {false, true}) {
        for (const bool with_bias : {true, false}) {
          for (const bool packed : {false, true}) {
            CAPTURE(stride);
            CAPTURE(kernel);
            CAPTURE(depthwise);
            CAPTURE(with_bias);
            CAPTURE(packed);
            const auto built = RandomTransposed({.in_channels = 7,
                                                 .out_channels = depthwise ? 7 : 11,
                                                 .kernel = kernel,
                                                 .stride = stride,
                                                 .depthwise = depthwise,
                                                 .bias = with_bias,
                                                 .elu = with_bias},
                                                packed);
            const int64_t length = 12;
            const at::Tensor x = at::randn({1, length, 7});
            const at::Tensor expected =
                at::conv_transpose1d((with_bias ? at::elu(x) : x).transpose(1, 2), built.weight,
                                     built.bias, stride, 0, 0, depthwise ? 7 : 1)
                    .narrow(2, 0, length * stride)
                    .transpose(1, 2);
            const at::Tensor whole = built.Streamed(x, length);
            CheckClose(whole, expected, 1e-5);
            for (const int64_t piece : {int64_t{1}, int64_t{5}}) {
              const at::Tensor streamed = built.Streamed(x, piece);
              CheckClose(streamed, expected, 1e-5);
              if (packed) CheckEqual(streamed, whole);
            }
          }
        }
      }
    }
  }
}

// Three signals in two slots: one from the beginning, one that joins later, one that takes the
// first one's slot when that has left, each with the bits that it gets alone.
template <typename Conv>
void CheckJoinsAndLeaves(const Built<Conv>& built, int64_t channels, int64_t piece) {
  const int64_t pieces = 9;
  const at::Tensor x = at::randn({3, pieces * piece, channels});
  std::vector<at::Tensor> alone;
  for (int64_t signal = 0; signal < 3; ++signal) {
    alone.push_back(built.Streamed(x.narrow(0, signal, 1), pieces * piece));
  }
  const auto at = [&](const at::Tensor& all, int64_t step) {
    const int64_t steps = all.size(1) / pieces;
    return all.narrow(1, step * steps, steps);
  };
  SlotState state(built.layout, 2, at::kCPU);
  for (int64_t step = 0; step < 2 * pieces; ++step) {
    if (step == pieces) state.Reset(0);
    const bool joined = step >= 3 && step < 3 + pieces;
    const int64_t first = step < pieces ? 0 : 2;
    const at::Tensor left = at(x.narrow(0, first, 1), step % pieces);
    const at::Tensor right = joined ? at(x.narrow(0, 1, 1), step - 3) : at::randn(left.sizes());
    const int other = joined ? 1 : kPadding;
    const bool swapped = step % 2 == 1;
    const at::Tensor y = swapped ? built.conv.Forward(at::cat({right, left}), state, {other, 0})
                                 : built.conv.Forward(at::cat({left, right}), state, {0, other});
    const int64_t row = swapped ? 1 : 0;
    CheckEqual(y.narrow(0, row, 1), at(alone[static_cast<size_t>(first)], step % pieces));
    if (joined) CheckEqual(y.narrow(0, 1 - row, 1), at(alone[1], step - 3));
  }
}

TEST_CASE("convolutions of slots that join and leave have the bits that they have alone") {
  test::Seed(7);
  const ConvSpec spec{.in_channels = 40, .out_channels = 90, .kernel = 6, .stride = 3, .elu = true};
  CheckJoinsAndLeaves(RandomConv(spec), 40, 3);
  CheckJoinsAndLeaves(RandomConv(spec), 40, 900);  // pieces that several threads share
  CheckJoinsAndLeaves(RandomTransposed(spec), 40, 1);
  CheckJoinsAndLeaves(RandomTransposed(spec), 40, 311);
  ConvSpec replicated = spec;
  replicated.first_pad = FirstPad::kReplicate;
  CheckJoinsAndLeaves(RandomConv(replicated), 40, 3);
  ConvSpec depthwise = spec;
  depthwise.out_channels = depthwise.in_channels;
  depthwise.depthwise = true;
  CheckJoinsAndLeaves(RandomTransposed(depthwise), 40, 1);
  CheckJoinsAndLeaves(RandomTransposed(depthwise), 40, 64);
}

}  // namespace
}  // namespace ppx::nn
