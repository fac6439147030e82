// The bodies of the codec's CUDA kernels, run on the host, against the plain operations that they
// replace.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "codec/cuda/codec_program.h"
#include "nn/pointwise.h"
#include "nn/ring_attention.h"
#include "nn/streaming_conv.h"
#include "nn/transformer.h"
#include "support/host_team.h"
#include "support/memory_checkpoint.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::codec {
namespace {

using test::CheckClose;
using test::CheckEqual;

// Both sides add the same terms in float32, in another order.
constexpr double kTolerance = 2e-6;

template <class Kernel>
void Run(const Kernel& kernel, int threads) {
  threads == 1 ? test::RunSerial(kernel) : test::RunThreads(kernel, threads);
}

float* Data(const at::Tensor& tensor) {
  REQUIRE(tensor.is_contiguous());
  return tensor.data_ptr<float>();
}

struct WindowsCase {
  int channels;
  int kernel;
  int stride;
  int dilation;
  int steps;
  bool elu;
  nn::FirstPad pad;
  int threads = 1;
};

void CheckWindows(const WindowsCase& c) {
  CAPTURE(c.channels);
  CAPTURE(c.kernel);
  CAPTURE(c.stride);
  CAPTURE(c.steps);
  CAPTURE(c.threads);
  const int kept = (c.kernel - 1) * c.dilation + 1 - c.stride;
  nn::StateLayout layout;
  const nn::WeightLoader loader(test::MemoryCheckpoint({{"x", at::zeros({1})}}), {});
  const nn::InputTail tail({.in_channels = c.channels, .elu = c.elu, .first_pad = c.pad}, kept,
                           loader, layout);
  nn::SlotState plain(layout, 4, at::kCPU);
  nn::SlotState fast(layout, 4, at::kCPU);
  const std::vector<nn::SlotIds> frames{
      {2, nn::kPadding, 0}, {0, 3, 2}, {3, 2, 0}, {nn::kPadding, nn::kPadding, 1}, {1, 0, 3}};
  for (const nn::SlotIds& slots : frames) {
    std::vector<int32_t> starts;
    for (const int slot : slots) {
      starts.push_back(slot != nn::kPadding && tail.replicate() && tail.AtStart(plain, slot) ? 1
                                                                                             : 0);
    }
    const at::Tensor x = at::randn({3, c.steps, c.channels});
    const at::Tensor extended = tail.Extend(x, plain, slots).contiguous();
    const int64_t count = c.steps / c.stride;
    const at::Tensor expected = extended.as_strided(
        {3, count, c.kernel, c.channels},
        {extended.size(1) * c.channels, c.stride * c.channels, c.dilation * c.channels, 1});
    const at::Tensor windows = at::full({3, count, c.kernel, c.channels}, 99.0);
    const at::Tensor next = at::full({3, kept, c.channels}, 99.0);
    const at::Tensor state = kept > 0 ? fast.tensor(tail.tail()) : at::Tensor();
    Run(cuda::WindowsKernel{.x = Data(x),
                            .tail = kept > 0 ? Data(state) : nullptr,
                            .slots = slots.data(),
                            .starts = tail.replicate() ? starts.data() : nullptr,
                            .windows = Data(windows),
                            .next_tail = kept > 0 ? Data(next) : nullptr,
                            .rows = 3,
                            .steps = c.steps,
                            .channels = c.channels,
                            .kept = kept,
                            .kernel = c.kernel,
                            .stride = c.stride,
                            .dilation = c.dilation,
                            .elu = c.elu},
        c.threads);
    CheckClose(windows, expected, kTolerance);
    if (kept == 0) continue;
    const std::vector<cuda::Tail> tails{
        {.next = Data(next), .kept = Data(state), .numbers = int64_t{kept} * c.channels}};
    Run(cuda::KeepKernel{.tails = tails.data(), .slots = slots.data(), .rows = 3, .count = 1},
        c.threads);
    CheckClose(state, plain.tensor(tail.tail()), kTolerance);
  }
}

TEST_CASE("windows of a convolution's input, and what the slots keep of it") {
  test::Seed(1);
  using nn::FirstPad;
  for (const int channels : {1, 3, 8, 20}) {
    for (const FirstPad pad : {FirstPad::kZeros, FirstPad::kReplicate}) {
      CheckWindows({channels, 7, 1, 1, 2, true, pad});  // keeps more than a frame brings
      CheckWindows({channels, 7, 1, 1, 40, false, pad});
      CheckWindows({channels, 3, 1, 4, 12, true, pad});
      CheckWindows({channels, 8, 4, 1, 16, true, pad});
      CheckWindows({channels, 4, 2, 1, 2, false, pad});
      CheckWindows({channels, 1, 1, 1, 5, true, pad});  // keeps nothing
    }
  }
  CheckWindows({8, 3, 1, 2, 160, true, nn::FirstPad::kZeros});  // more than a block a row
  CheckWindows({3, 5, 1, 1, 4, true, nn::FirstPad::kReplicate, 48});
  CheckWindows({1, 7, 1, 1, 90, true, nn::FirstPad::kZeros, 32});
}

TEST_CASE("a depthwise transposed convolution of windows") {
  test::Seed(2);
  for (const bool biased : {false, true}) {
    for (const int channels : {3, 16, 150}) {
      const at::Tensor windows = at::randn({5, 2, channels});
      const at::Tensor weight = at::randn({2, 4, channels});
      const at::Tensor bias = at::randn({channels});
      at::Tensor expected =
          (windows.unsqueeze(2) * weight.unsqueeze(0)).sum(1);  // [steps, stride, channels]
      if (biased) expected = expected + bias;
      for (const int threads : {1, 48}) {
        const at::Tensor output = at::full({5, 4, channels}, 99.0);
        Run(cuda::DepthwiseKernel{.windows = Data(windows),
                                  .weight = Data(weight),
                                  .bias = biased ? Data(bias) : nullptr,
                                  .output = Data(output),
                                  .steps = 5,
                                  .reach = 2,
                                  .stride = 4,
                                  .channels = channels},
            threads);
        CheckClose(output, expected, kTolerance);
      }
    }
  }
}

TEST_CASE("a branch is scaled and added, and the sum normalised") {
  test::Seed(3);
  for (const int dim : {5, 24, 520}) {
    for (const int mode : {0, 1, 2, 3}) {  // nothing, a branch, a scaled one, the sum alone
      for (const int threads : {1, 48}) {
        CAPTURE(dim);
        CAPTURE(mode);
        const at::Tensor start = at::randn({3, dim}) * 3 + 1;
        const at::Tensor branch = at::randn({3, dim});
        const at::Tensor scale = at::randn({dim});
        const at::Tensor weight = at::randn({dim});
        const at::Tensor bias = at::randn({dim});
        const at::Tensor sum = mode == 0   ? start
                               : mode == 1 ? start + branch
                                           : start + branch * scale;
        const at::Tensor x = start.clone();
        const at::Tensor output = at::full({3, dim}, 99.0);
        Run(cuda::LayerNormKernel{.x = Data(x),
                                  .branch = mode == 0 ? nullptr : Data(branch),
                                  .scale = mode < 2 ? nullptr : Data(scale),
                                  .weight = Data(weight),
                                  .bias = Data(bias),
                                  .output = mode == 3 ? nullptr : Data(output),
                                  .rows = 3,
                                  .dim = dim,
                                  .eps = static_cast<float>(nn::kLayerNormEps)},
            threads);
        CheckClose(x, sum, kTolerance);
        CheckClose(output,
                   mode == 3 ? at::full({3, dim}, 99.0)
                             : at::layer_norm(sum, {dim}, weight, bias, nn::kLayerNormEps),
                   kTolerance);
      }
    }
  }
}

TEST_CASE("GELU in place") {
  test::Seed(4);
  for (const int64_t count : {3, 700}) {
    for (const int threads : {1, 48}) {
      const at::Tensor x = at::randn({count}) * 4;
      const at::Tensor expected = nn::GeluPlain(x);
      Run(cuda::GeluKernel{.x = Data(x), .count = count}, threads);
      CheckClose(x, expected, kTolerance);
    }
  }
}

struct AttendCase {
  int heads;
  int dim;
  int context;
  int steps;
  nn::RingRule rule;
  bool turns = true;
  int threads = 1;
  int frames = 12;
};

void CheckAttention(const AttendCase& c) {
  at::set_num_threads(1);  // a second one costs more than these small sums
  CAPTURE(c.dim);
  CAPTURE(c.context);
  CAPTURE(c.steps);
  CAPTURE(c.threads);
  const bool full = c.rule == nn::RingRule::kFull;
  const nn::RingAttentionSpec spec{.num_heads = c.heads,
                                   .head_dim = c.dim,
                                   .context = c.context,
                                   .capacity = c.context + (full ? c.steps - 1 : 0),
                                   .block = c.steps,
                                   .rule = c.rule,
                                   .rope_max_period = 10000};
  const at::Tensor frequencies =
      c.turns ? nn::RopeInverseFrequencies(c.dim, spec.rope_max_period) : at::Tensor();
  // Slots with a past of different length, one of which has wrapped twice.
  std::vector<int64_t> offset_of_slot{0, c.steps, (c.context / c.steps + 1) * c.steps,
                                      (2 * c.context / c.steps + 1) * c.steps};
  const std::vector<nn::RingPlace> places = nn::EqualPlaces(4, spec.capacity);
  const std::vector<int64_t> cells{int64_t{4} * c.heads * spec.capacity, c.dim};
  const at::Tensor plain_keys = at::zeros(cells);
  const at::Tensor plain_values = at::zeros(cells);
  const nn::Rings plain{.keys = plain_keys, .values = plain_values, .places = places};
  for (int slot = 1; slot < 4; ++slot) {
    nn::RingAttentionPlain(
        spec, at::randn({1, offset_of_slot[static_cast<size_t>(slot)], 3, c.heads, c.dim}), plain,
        {slot}, {0}, frequencies);
  }
  const at::Tensor keys = plain_keys.clone();
  const at::Tensor values = plain_values.clone();
  for (int frame = 0; frame < c.frames; ++frame) {
    CAPTURE(frame);
    const nn::SlotIds slots{2, nn::kPadding, 0, 3, 1};
    std::vector<int64_t> offsets;
    std::vector<int32_t> positions;
    for (const int slot : slots) {
      int64_t& offset = offset_of_slot[static_cast<size_t>(std::max(slot, 0))];
      offsets.push_back(slot == nn::kPadding ? 0 : offset);
      positions.push_back(static_cast<int32_t>(offsets.back()));
      if (slot != nn::kPadding) offset += c.steps;
    }
    const at::Tensor qkv = at::randn({5, c.steps, 3, c.heads, c.dim});
    const at::Tensor expected =
        nn::RingAttentionPlain(spec, qkv, plain, slots, offsets, frequencies);
    const at::Tensor output = at::full({5, c.steps, int64_t{c.heads} * c.dim}, 99.0);
    Run(cuda::AttendBlockKernel{.qkv = Data(qkv),
                                .keys = Data(keys),
                                .values = Data(values),
                                .slots = slots.data(),
                                .positions = positions.data(),
                                .frequencies = c.turns ? Data(frequencies) : nullptr,
                                .output = Data(output),
                                .rows = 5,
                                .steps = c.steps,
                                .heads = c.heads,
                                .dim = c.dim,
                                .capacity = spec.capacity,
                                .context = c.context,
                                .mask_next_slot = !full},
        c.threads);
    for (const int64_t row : {0, 2, 3, 4}) CheckClose(output[row], expected[row], 2 * kTolerance);
    CHECK(output[1].isfinite().all().item<bool>());
    // The rotation's sines come from another library.
    CheckClose(keys, plain_keys, kTolerance);
    CheckEqual(values, plain_values);
  }
}

TEST_CASE("a block of steps appended to the ring and attended") {
  test::Seed(5);
  using nn::RingRule;
  for (const RingRule rule : {RingRule::kMaskNextSlot, RingRule::kFull}) {
    for (const int steps : {1, 2, 3, 8}) {
      for (const int context : {8, 9, 31}) {
        CheckAttention({2, 6, context, steps, rule});
        CheckAttention({1, 64, context, steps, rule, /*turns=*/false});
      }
    }
    CheckAttention({1, 128, 2, 2, rule});
    CheckAttention({2, 24, 11, 2, rule, true, /*threads=*/48, /*frames=*/2});
    CheckAttention({1, 8, 9, 4, rule, true, /*threads=*/32, /*frames=*/2});
  }
}

// The codes of `scores`, by the kernel; `residual` is changed.
std::vector<int32_t> Nearest(const at::Tensor& scores, const at::Tensor& centroids,
                             const at::Tensor& residual, int threads) {
  const auto rows = static_cast<int>(scores.size(0));
  std::vector<int32_t> codes(3 * static_cast<size_t>(rows), -9);
  Run(cuda::NearestKernel{.scores = Data(scores),
                          .centroids = Data(centroids),
                          .residual = Data(residual),
                          .codes = codes.data() + 1,
                          .stride = 3,
                          .rows = rows,
                          .bins = static_cast<int>(scores.size(1)),
                          .dim = static_cast<int>(centroids.size(1))},
      threads);
  std::vector<int32_t> found;
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    found.push_back(codes[3 * row + 1]);
    CHECK(codes[3 * row] == -9);
    CHECK(codes[3 * row + 2] == -9);
  }
  return found;
}

TEST_CASE("the highest score is found, the first of equal ones, and its centroid subtracted") {
  test::Seed(6);
  for (const int bins : {1, 7, 70, 600}) {
    for (const int threads : {1, 16, 48}) {
      CAPTURE(bins);
      CAPTURE(threads);
      // Few different values, so that most are there often.
      const at::Tensor scores = at::randint(-3, 3, {4, bins}).to(at::kFloat);
      const at::Tensor centroids = at::randn({bins, 5});
      const at::Tensor residual = at::randn({4, 5});
      at::Tensor expected = residual.clone();
      const std::vector<int32_t> codes = Nearest(scores, centroids, residual, threads);
      for (int64_t row = 0; row < 4; ++row) {
        const float* first = scores.const_data_ptr<float>() + row * bins;
        const auto nearest = std::max_element(first, first + bins) - first;
        CHECK(codes[static_cast<size_t>(row)] == nearest);
        expected[row].sub_(centroids[nearest]);
      }
      CheckEqual(residual, expected);
    }
  }
}

TEST_CASE("whatever the scores are, the code is within the codebook") {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::nanf("");
  const at::Tensor scores =
      at::tensor({nan, nan, nan, -inf, -inf, -inf, nan, 1.F, nan, inf, nan, inf}).view({4, 3});
  for (const int threads : {1, 16}) {
    CHECK(Nearest(scores, at::zeros({3, 2}), at::zeros({4, 2}), threads) ==
          std::vector<int32_t>{0, 0, 1, 0});
  }
}

TEST_CASE("the sum of a row's centroids") {
  test::Seed(7);
  const std::vector<at::Tensor> codebooks{at::randn({9, 13}), at::randn({9, 13}),
                                          at::randn({9, 13})};
  const std::vector<const float*> addresses{Data(codebooks[0]), Data(codebooks[1]),
                                            Data(codebooks[2])};
  const std::vector<int32_t> codes{99, 3, 8, 0, 99, 1, 1, 5};  // from the second of each four on
  for (const int threads : {1, 16}) {
    const at::Tensor output = at::full({2, 13}, 99.0);
    Run(cuda::CentroidsKernel{.codebooks = addresses.data(),
                              .codes = codes.data() + 1,
                              .output = Data(output),
                              .stride = 4,
                              .rows = 2,
                              .levels = 3,
                              .dim = 13},
        threads);
    CheckClose(output[0], codebooks[0][3] + codebooks[1][8] + codebooks[2][0], kTolerance);
    CheckClose(output[1], codebooks[0][1] + codebooks[1][1] + codebooks[2][5], kTolerance);
  }
}

}  // namespace
}  // namespace ppx::codec
