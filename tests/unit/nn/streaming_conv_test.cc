#include "nn/streaming_conv.h"

#include "support/memory_checkpoint.h"
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

using test::CheckClose;

TEST_CASE("a streamed convolution is the whole one, over kernel, stride, dilation and pieces") {
  at::manual_seed(5);
  for (const int64_t kernel : {1, 3, 4, 7}) {
    for (const int64_t stride : {1, 2, 4}) {
      for (const int64_t dilation : {1, 2, 4}) {
        const int64_t tail = (kernel - 1) * dilation + 1 - stride;
        if (tail < 0) continue;
        for (const FirstPad pad : {FirstPad::kZeros, FirstPad::kReplicate}) {
          CAPTURE(kernel);
          CAPTURE(stride);
          CAPTURE(dilation);
          const ConvSpec spec{.in_channels = 2,
                              .out_channels = 3,
                              .kernel = kernel,
                              .stride = stride,
                              .dilation = dilation,
                              .first_pad = pad};
          const at::Tensor weight = at::randn({3, 2, kernel});
          const at::Tensor bias = at::randn({3});
          WeightLoader loader(test::MemoryCheckpoint({{"c.weight", weight}, {"c.bias", bias}}), {});
          StateLayout layout;
          const StreamingConv conv(spec, "c", loader, layout);
          loader.Finish();

          const int64_t length = 24 * stride;
          const at::Tensor x = at::randn({1, 2, length});
          const at::Tensor left = pad == FirstPad::kReplicate
                                      ? x.narrow(2, 0, 1).expand({1, 2, tail})
                                      : at::zeros({1, 2, tail});
          const at::Tensor expected =
              at::conv1d(at::cat({left, x}, 2), weight, bias, at::IntArrayRef{stride},
                         at::IntArrayRef{0}, at::IntArrayRef{dilation});
          for (const int64_t piece : {stride, 5 * stride, length}) {
            SlotState state(layout, 2, at::kCPU);
            std::vector<at::Tensor> out;
            for (int64_t begin = 0; begin < length; begin += piece) {
              out.push_back(
                  conv.Forward(x.narrow(2, begin, std::min(piece, length - begin)), state, {1}));
            }
            CheckClose(at::cat(out, 2), expected, 1e-5);
          }
        }
      }
    }
  }
}

TEST_CASE(
    "a streamed transposed convolution is the whole one, over kernel, stride, groups and pieces") {
  at::manual_seed(6);
  for (const int64_t stride : {1, 2, 5}) {
    for (const int64_t kernel : {stride, 2 * stride, 3 * stride + 1}) {
      for (const int64_t groups : {1, 4}) {
        for (const bool with_bias : {true, false}) {
          CAPTURE(stride);
          CAPTURE(kernel);
          CAPTURE(groups);
          const ConvSpec spec{.in_channels = 4,
                              .out_channels = 4,
                              .kernel = kernel,
                              .stride = stride,
                              .groups = groups,
                              .bias = with_bias};
          const at::Tensor weight = at::randn({4, 4 / groups, kernel});
          const at::Tensor bias = at::randn({4});
          WeightLoader loader(test::MemoryCheckpoint({{"c.weight", weight}, {"c.bias", bias}}), {});
          StateLayout layout;
          const StreamingTransposedConv conv(spec, "c", loader, layout);
          const int64_t length = 12;
          const at::Tensor x = at::randn({1, 4, length});
          const at::Tensor expected =
              at::conv_transpose1d(x, weight, with_bias ? bias : at::Tensor(), stride, 0, 0, groups)
                  .narrow(2, 0, length * stride);
          for (const int64_t piece : {int64_t{1}, int64_t{5}, length}) {
            SlotState state(layout, 1, at::kCPU);
            std::vector<at::Tensor> out;
            for (int64_t begin = 0; begin < length; begin += piece) {
              out.push_back(
                  conv.Forward(x.narrow(2, begin, std::min(piece, length - begin)), state, {0}));
            }
            CheckClose(at::cat(out, 2), expected, 1e-5);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ppx::nn
