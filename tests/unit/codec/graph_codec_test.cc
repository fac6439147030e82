// The recorded frame against the plain codec: the whole program run on the host everywhere, and the
// CUDA graph where a GPU is.
#include "codec/cuda/graph_codec.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <map>
#include <stdexcept>

#include "base/error.h"
#include "engine/device.h"
#include "support/gpu.h"
#include "support/host_runner.h"
#include "support/memory_checkpoint.h"
#include "support/random_mimi.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::codec {
namespace {

constexpr int kSlots = 4;

// Two steps a frame; channels, heads and codebooks of odd sizes; a ring that wraps after 7 frames.
MimiConfig OddConfig() {
  MimiConfig config;
  config.sample_rate_hz = 1200;
  config.frame_rate_hz = 100;
  config.seanet = {.dimension = 20,
                   .n_filters = 6,
                   .n_residual_layers = 2,
                   .dilation_base = 3,
                   .kernel_size = 7,
                   .ratios = {3, 2}};
  config.transformer = {
      .d_model = 20, .num_heads = 2, .num_layers = 2, .dim_feedforward = 31, .context = 13};
  config.quantizer = {.dimension = 5, .n_q = 6, .bins = 37};
  return config;
}

// Four steps a frame, whole chunks, no LayerScale, no positions.
MimiConfig EvenConfig() {
  MimiConfig config;
  config.sample_rate_hz = 6400;
  config.frame_rate_hz = 100;
  config.seanet = {.dimension = 16, .n_filters = 8, .compress = 1, .ratios = {2, 4, 2}};
  config.transformer = {.d_model = 16,
                        .num_heads = 1,
                        .num_layers = 1,
                        .dim_feedforward = 32,
                        .context = 12,
                        .max_period = 0,
                        .layer_scale = false};
  config.quantizer = {.dimension = 8, .n_q = 5, .bins = 64};
  config.ring_rule = nn::RingRule::kFull;
  return config;
}

// SEANet at the frame rate: nothing is sampled down or up.
MimiConfig FlatConfig() {
  MimiConfig config = EvenConfig();
  config.sample_rate_hz = 1600;
  return config;
}

struct Codec {
  explicit Codec(const MimiConfig& sizes, int used_levels, at::Device device = at::kCPU)
      : config(sizes),
        levels(used_levels),
        loader(test::MemoryCheckpoint(test::RandomMimiTensors(sizes)), {.device = device}),
        encoder(sizes, used_levels, loader),
        decoder(sizes, used_levels, loader) {
    at::set_num_threads(1);  // a second one costs more than the small sums of these models
  }

  MimiConfig config;
  int levels;
  nn::WeightLoader loader;
  MimiEncoder encoder;
  MimiDecoder decoder;
};

using HostRunner = test::HostRunner<CodecProgram>;

// Calls part(frame, row's input, slots) for frames in which slots join at their own times, one is
// reset and used again, one falls silent for a while, rows come in changing order with padding
// between, and some frames have fewer rows than there are slots.
template <class Reset, class Part>
void Play(int frames, const Reset& reset, const Part& part) {
  const int starts[kSlots] = {0, 3, 8, 1};
  for (int time = 0; time < frames; ++time) {
    const int rows = time % 9 == 7 ? kSlots - 1 : kSlots;
    nn::SlotIds slots(static_cast<size_t>(rows), nn::kPadding);
    for (int slot = 0; slot < kSlots; ++slot) {
      if (time < starts[slot] || (slot == 1 && time % 7 == 6)) continue;
      const int row = (slot + time) % kSlots;
      if (row >= rows) continue;
      if (slot == 2 && time == 19) reset(slot);
      slots[static_cast<size_t>(row)] = slot;
    }
    part(time, slots);
  }
}

// What two ways give, of the rows that are no padding.
void CheckRows(const at::Tensor& actual, const at::Tensor& expected, const nn::SlotIds& slots,
               double tolerance) {
  REQUIRE(actual.sizes().vec() == expected.sizes().vec());
  for (size_t row = 0; row < slots.size(); ++row) {
    if (slots[row] == nn::kPadding) continue;
    const auto index = static_cast<int64_t>(row);
    test::CheckClose(actual[index], expected[index], tolerance);
  }
}

void CheckSameStates(const nn::SlotState& a, const nn::SlotState& b, double tolerance) {
  for (int slot = 0; slot < kSlots; ++slot) {
    const nn::SlotSnapshot left = a.Save(slot);
    const nn::SlotSnapshot right = b.Save(slot);
    CHECK(left.counters == right.counters);
    for (size_t i = 0; i < left.tensors.size(); ++i) {
      test::CheckClose(left.tensors[i], right.tensors[i], tolerance);
    }
  }
}

at::Tensor Samples(const Codec& codec, size_t rows) {
  return at::randn({static_cast<int64_t>(rows), 1, codec.config.frame_samples()});
}

at::Tensor Codes(const Codec& codec, size_t rows) {
  return at::randint(codec.config.quantizer.bins, {static_cast<int64_t>(rows), codec.levels, 1},
                     at::kLong);
}

// `misses`: the share of codes that may differ, of centroids that are equally near.
void CheckEncoder(const Codec& codec, GraphEncoder& graph, int frames, double tolerance,
                  double misses = 0) {
  nn::SlotState plain = codec.encoder.NewState(kSlots);
  nn::SlotState fast = codec.encoder.NewState(kSlots);
  const auto reset = [&](int slot) {
    plain.Reset(slot);
    fast.Reset(slot);
  };
  int64_t codes = 0;
  int64_t different = 0;
  Play(frames, reset, [&](int /*time*/, const nn::SlotIds& slots) {
    const at::Tensor pcm = Samples(codec, slots.size());
    const at::Tensor expected =
        codec.encoder.Encode(pcm.to(codec.encoder.device()), plain, slots).to(at::kCPU, at::kInt);
    const at::Tensor actual = graph.Encode(pcm, fast, slots);
    REQUIRE(actual.sizes().vec() == expected.sizes().vec());
    for (size_t row = 0; row < slots.size(); ++row) {
      if (slots[row] == nn::kPadding) continue;
      const auto index = static_cast<int64_t>(row);
      codes += codec.levels;
      different += actual[index].ne(expected[index]).sum().item<int64_t>();
    }
  });
  CHECK(static_cast<double>(different) <= misses * static_cast<double>(codes));
  CHECK(graph.trusted());
  CheckSameStates(fast, plain, tolerance);
}

void CheckDecoder(const Codec& codec, GraphDecoder& graph, int frames, double tolerance) {
  nn::SlotState plain = codec.decoder.NewState(kSlots);
  nn::SlotState fast = codec.decoder.NewState(kSlots);
  const auto reset = [&](int slot) {
    plain.Reset(slot);
    fast.Reset(slot);
  };
  Play(frames, reset, [&](int time, const nn::SlotIds& slots) {
    CAPTURE(time);
    const at::Tensor codes = Codes(codec, slots.size());
    const at::Tensor expected =
        codec.decoder.Decode(codes.to(codec.decoder.device()), plain, slots).to(at::kCPU);
    CheckRows(graph.Decode(codes, fast, slots), expected, slots, tolerance);
  });
  CHECK(graph.trusted());
  CheckSameStates(fast, plain, tolerance);
}

// Sums in another order, over tens of frames.
constexpr double kTolerance = 1e-5;

TEST_CASE("the encoder's program, run on the host, gives the plain codes") {
  test::Seed(31);
  for (const MimiConfig& config : {OddConfig(), EvenConfig(), FlatConfig()}) {
    CAPTURE(config.steps_per_frame());
    const Codec codec(config, 4);
    GraphEncoder graph(codec.encoder, HostRunner::Make);
    CheckEncoder(codec, graph, 45, kTolerance);
  }
}

TEST_CASE("the decoder's program, run on the host, gives the plain samples") {
  test::Seed(32);
  for (const MimiConfig& config : {OddConfig(), EvenConfig(), FlatConfig()}) {
    CAPTURE(config.steps_per_frame());
    const Codec codec(config, 4);
    GraphDecoder graph(codec.decoder, HostRunner::Make);
    CheckDecoder(codec, graph, 45, kTolerance);
  }
}

TEST_CASE("one codebook, the semantic one alone") {
  test::Seed(33);
  const Codec codec(OddConfig(), 1);
  GraphEncoder encoder(codec.encoder, HostRunner::Make);
  CheckEncoder(codec, encoder, 12, kTolerance);
  GraphDecoder decoder(codec.decoder, HostRunner::Make);
  CheckDecoder(codec, decoder, 12, kTolerance);
}

TEST_CASE("many frames at once and taps in between go by the plain path, of the same state") {
  test::Seed(34);
  const Codec codec(OddConfig(), 4);
  GraphEncoder graph(codec.encoder, HostRunner::Make);
  nn::SlotState plain = codec.encoder.NewState(kSlots);
  nn::SlotState fast = codec.encoder.NewState(kSlots);
  const nn::SlotIds slots{1, 0};
  int taps = 0;
  for (int time = 0; time < 12; ++time) {
    const at::Tensor pcm = Samples(codec, 2);
    const at::Tensor expected = codec.encoder.Encode(pcm, plain, slots);
    const nn::DebugTap tap = [&](std::string_view, const at::Tensor&) { ++taps; };
    test::CheckEqual(graph.Encode(pcm, fast, slots, time == 8 ? tap : nn::DebugTap{}), expected);
    if (time % 5 != 4) continue;
    const at::Tensor more = at::randn({1, 1, 3 * codec.config.frame_samples()});
    test::CheckEqual(codec.encoder.Encode(more, fast, {1}), codec.encoder.Encode(more, plain, {1}));
  }
  CHECK(taps > 0);
  CHECK(graph.trusted());
  CheckSameStates(fast, plain, kTolerance);
}

// What a broken GPU, driver or kernel could do.
class BrokenRunner : public HostRunner {
 public:
  enum class Fault { kOutput, kLatent, kTails, kOtherSlot, kThrows, kNan };
  BrokenRunner(CodecProgram& program, Fault fault) : HostRunner(program), fault_(fault) {}
  const int32_t* Run() override {
    if (fault_ == Fault::kThrows) throw std::runtime_error("out of order");
    HostRunner::Run();
    const at::Tensor& output = program_.output();
    const at::Tensor tail = program_.tails().back();
    if (fault_ == Fault::kOutput && output.is_floating_point()) output.mul_(1.01);
    if (fault_ == Fault::kOutput && !output.is_floating_point()) output.select(1, 2).add_(1);
    if (fault_ == Fault::kLatent && program_.latent().defined()) program_.latent().add_(0.1);
    if (fault_ == Fault::kLatent && !program_.latent().defined()) output.add_(0.1);
    if (fault_ == Fault::kTails) tail.mul_(1.01);
    if (fault_ == Fault::kOtherSlot) tail[kSlots - 1].add_(1);
    if (fault_ == Fault::kNan) program_.tails().front().fill_(std::nanf(""));
    return static_cast<const int32_t*>(output.data_ptr());
  }

 private:
  Fault fault_;
};

TEST_CASE("a frame that disagrees or fails is not used, and changes nothing") {
  test::Seed(35);
  const Codec codec(OddConfig(), 4);
  using Fault = BrokenRunner::Fault;
  for (const Fault fault : {Fault::kOutput, Fault::kLatent, Fault::kTails, Fault::kOtherSlot,
                            Fault::kThrows, Fault::kNan}) {
    CAPTURE(static_cast<int>(fault));
    const auto broken = [&](CodecProgram& program) {
      return std::make_unique<BrokenRunner>(program, fault);
    };
    GraphEncoder encoder(codec.encoder, broken);
    GraphDecoder decoder(codec.decoder, broken);
    nn::SlotState plain_in = codec.encoder.NewState(kSlots);
    nn::SlotState fast_in = codec.encoder.NewState(kSlots);
    nn::SlotState plain_out = codec.decoder.NewState(kSlots);
    nn::SlotState fast_out = codec.decoder.NewState(kSlots);
    for (int time = 0; time < 7; ++time) {
      const nn::SlotIds slots{0, nn::kPadding, 2};
      const at::Tensor pcm = Samples(codec, 3);
      CheckRows(encoder.Encode(pcm, fast_in, slots), codec.encoder.Encode(pcm, plain_in, slots),
                slots, 0);
      const at::Tensor codes = Codes(codec, 3);
      CheckRows(decoder.Decode(codes, fast_out, slots),
                codec.decoder.Decode(codes, plain_out, slots), slots, 0);
    }
    CHECK(!encoder.trusted());
    CHECK(!decoder.trusted());
    CheckSameStates(fast_in, plain_in, 0);
    CheckSameStates(fast_out, plain_out, 0);
  }
}

TEST_CASE("what cannot be recorded is left to the plain path") {
  test::Seed(36);
  MimiConfig wide = OddConfig();
  wide.seanet.dimension = 260;
  wide.transformer.d_model = 260;  // heads of 130
  const Codec codec(wide, 4);
  nn::SlotState in = codec.encoder.NewState(1);
  nn::SlotState out = codec.decoder.NewState(1);
  CHECK(CodecProgram::Encode(codec.encoder, in) == nullptr);
  CHECK(CodecProgram::Decode(codec.decoder, out) == nullptr);
  GraphEncoder graph(codec.encoder, HostRunner::Make);
  const at::Tensor pcm = Samples(codec, 1);
  nn::SlotState plain = codec.encoder.NewState(1);
  test::CheckEqual(graph.Encode(pcm, in, {0}), codec.encoder.Encode(pcm, plain, {0}));

  nn::WeightLoader packing(test::MemoryCheckpoint(test::RandomMimiTensors(OddConfig())),
                           {.form = kernels::WeightForm::kF32});
  const MimiEncoder packed(OddConfig(), 4, packing);
  nn::SlotState state = packed.NewState(1);
  CHECK(CodecProgram::Encode(packed, state) == nullptr);
  // On the CPU nothing is recorded unless a test says how.
  CHECK(!GraphCodec::RunnerFor(at::kCPU));
}

TEST_CASE("a code that is in no codebook is refused before the kernels see it") {
  test::Seed(37);
  const Codec codec(OddConfig(), 4);
  GraphDecoder graph(codec.decoder, HostRunner::Make);
  nn::SlotState state = codec.decoder.NewState(1);
  for (const int64_t code : {int64_t{-1}, int64_t{codec.config.quantizer.bins}}) {
    at::Tensor codes = Codes(codec, 1);
    codes[0][2][0] = code;
    CHECK_THROWS_AS(graph.Decode(codes, state, {0}), base::Error);
  }
}

// Runs where a GPU is; elsewhere it says that it did not.
TEST_CASE("on a GPU: the graphs give what the plain path gives") {
  const std::optional<at::Device> gpu = test::OpenGpuForKernels();
  if (!gpu) return;
  const at::Device device = *gpu;
  engine::ConfigureArithmetic(0);
  test::Seed(38);
  MimiConfig released;  // its channels and heads, but for the codebooks
  released.transformer.num_layers = 2;
  released.transformer.context = 20;
  released.quantizer.n_q = 8;
  for (const MimiConfig& config : {OddConfig(), EvenConfig(), FlatConfig(), released}) {
    CAPTURE(config.seanet.n_filters);
    const Codec codec(config, 4, device);
    GraphEncoder encoder(codec.encoder);
    CheckEncoder(codec, encoder, 30, 1e-3, 0.01);
    GraphDecoder decoder(codec.decoder);
    CheckDecoder(codec, decoder, 30, 1e-3);
  }
}

}  // namespace
}  // namespace ppx::codec
