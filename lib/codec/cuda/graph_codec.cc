#include "codec/cuda/graph_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "nn/cuda/trust.h"

namespace ppx::codec {
namespace {

constexpr int kFramesToCheck = 4;
// Both compute in float32, and take sums in another order.
constexpr double kLargestError = 1e-3;
// Of samples: silence is a small difference of large numbers. A third of a step of 16 bits.
constexpr double kInaudible = 1e-5;
// Codes that may differ between equal latents: centroids that are equally near, to the last bit.
constexpr int64_t kCodesPerMiss = 100;

}  // namespace

GraphCodec::MakeRunner GraphCodec::RunnerFor(at::Device device) {
  if (!device.is_cuda() || !nn::GraphsWanted()) return {};
  return RecordCudaGraph;
}

bool GraphCodec::Serves(size_t rows, const MakeProgram& make_program) {
  if (!asked_) {
    asked_ = true;
    left_to_check_ = kFramesToCheck;
    if (!make_runner_) return false;
    try {
      program_ = make_program();
      if (program_) runner_ = make_runner_(*program_);
    } catch (const std::exception& error) {
      Distrust(nn::ReasonOf(error));
    }
  }
  return runner_ != nullptr && rows <= static_cast<size_t>(program_->rows());
}

void GraphCodec::Distrust(std::string_view reason) {
  runner_.reset();
  program_.reset();
  nn::WarnOfGraph("the codec", reason);
}

FrameRows GraphCodec::Fill(const nn::SlotIds& slots, const nn::Transformer& transformer,
                           const nn::SlotState& state) {
  const FrameRows rows = program_->RowsIn(runner_->input());
  std::fill_n(rows.slots, program_->input().numel(), 0);
  std::fill_n(rows.slots, rows.rows, nn::kPadding);
  std::vector<int64_t> offsets;
  for (size_t row = 0; row < slots.size(); ++row) {
    rows.slots[row] = slots[row];
    offsets.push_back(slots[row] == nn::kPadding ? 0 : transformer.Offset(state, slots[row]));
    rows.positions[row] = static_cast<int32_t>(offsets.back());
  }
  nn::CheckRingFits(transformer.attention(), transformer.spec().block,
                    state.places(transformer.layers().front().keys), slots, offsets);
  return rows;
}

const int32_t* GraphCodec::Run() {
  try {
    return runner_->Run();
  } catch (const std::exception& error) {
    if (trusted()) throw;
    Distrust(nn::ReasonOf(error));
    return nullptr;
  }
}

std::vector<at::Tensor> GraphCodec::Tails() const {
  std::vector<at::Tensor> tails;
  for (const at::Tensor& tail : program_->tails()) tails.push_back(tail.clone());
  return tails;
}

at::Tensor GraphCodec::RunBothWays(const std::function<at::Tensor()>& plain,
                                   const std::function<bool(const int32_t* output)>& agrees) {
  --left_to_check_;
  // Keys and values are written again by the plain path, but what convolutions keep is replaced.
  const std::vector<at::Tensor> state = program_->tails();
  const std::vector<at::Tensor> before = Tails();
  const int32_t* output = Run();
  if (output == nullptr) {
    for (size_t i = 0; i < state.size(); ++i) state[i].copy_(before[i]);
    return plain();
  }
  const std::vector<at::Tensor> after = Tails();
  for (size_t i = 0; i < state.size(); ++i) state[i].copy_(before[i]);
  at::Tensor result = plain();
  bool close = agrees(output);
  for (size_t i = 0; i < state.size(); ++i) {
    close = close && nn::Close(after[i], state[i], kLargestError, kInaudible);
  }
  if (!close) Distrust("it disagrees with the plain path");
  return result;
}

at::Tensor GraphEncoder::Plain(const at::Tensor& pcm, nn::SlotState& state,
                               const nn::SlotIds& slots, const nn::DebugTap& tap) const {
  return encoder_.Encode(pcm.to(encoder_.device()), state, slots, tap)
      .to(at::kCPU, at::kInt)
      .contiguous();
}

at::Tensor GraphEncoder::Encode(const at::Tensor& pcm, nn::SlotState& state,
                                const nn::SlotIds& slots, const nn::DebugTap& tap) {
  const auto make_program = [&] { return CodecProgram::Encode(encoder_, state); };
  if (tap || !graph_.Serves(slots.size(), make_program)) return Plain(pcm, state, slots, tap);
  const FrameRows rows = graph_.Fill(slots, encoder_.transformer(), state);
  const nn::InputTail* replicates =
      encoder_.downsample() == nullptr ? nullptr : &encoder_.downsample()->tail();
  if (replicates != nullptr && !replicates->replicate()) replicates = nullptr;
  for (size_t row = 0; row < slots.size(); ++row) {
    if (replicates == nullptr || slots[row] == nn::kPadding) continue;
    rows.starts[row] = replicates->AtStart(state, slots[row]) ? 1 : 0;
  }
  const at::Tensor packed = pcm.contiguous();
  std::copy_n(packed.const_data_ptr<float>(), packed.numel(), reinterpret_cast<float*>(rows.frame));

  if (!graph_.trusted()) {
    at::Tensor latent;
    const nn::DebugTap witness = [&](std::string_view name, const at::Tensor& value) {
      if (name == "mimi.latent") latent = value;
    };
    return graph_.RunBothWays(
        [&] { return Plain(pcm, state, slots, witness); },
        [&](const int32_t* codes) { return Agrees(codes, slots, latent.squeeze(-1)); });
  }
  const int32_t* codes = graph_.Run();
  encoder_.transformer().Advance(state, slots, encoder_.transformer().spec().block);
  for (const int slot : slots) {
    if (replicates != nullptr) replicates->Begins(state, slot);
  }
  at::Tensor result =
      at::empty({static_cast<int64_t>(slots.size()), encoder_.quantizer().levels(), 1}, at::kInt);
  std::copy_n(codes, result.numel(), result.data_ptr<int32_t>());
  return result;
}

bool GraphEncoder::Agrees(const int32_t* codes, const nn::SlotIds& slots,
                          const at::Tensor& plain_latent) const {
  // The plain codes of the same latent, so that the two searches are given the same numbers.
  const at::Tensor latent =
      graph_.program().latent().narrow(0, 0, static_cast<int64_t>(slots.size()));
  const at::Tensor plain =
      encoder_.quantizer().Encode(latent.unsqueeze(1)).squeeze(-1).to(at::kCPU);  // [n, levels]
  const auto expected = plain.accessor<int64_t, 2>();
  const auto semantic = static_cast<int64_t>(encoder_.quantizer().first().codebooks.size());
  int64_t compared = 0;
  int64_t misses = 0;
  for (size_t r = 0; r < slots.size(); ++r) {
    if (slots[r] == nn::kPadding) continue;
    const auto row = static_cast<int64_t>(r);
    if (!nn::Close(latent[row], plain_latent[row], kLargestError)) return false;
    bool same = true;
    for (int64_t level = 0; level < plain.size(1); ++level) {
      // Behind another code the residual is another; the second part starts afresh.
      if (level == semantic) same = true;
      if (!same) continue;
      ++compared;
      same = codes[row * plain.size(1) + level] == expected[row][level];
      if (!same) ++misses;
    }
  }
  return misses * kCodesPerMiss <= compared;
}

at::Tensor GraphDecoder::Decode(const at::Tensor& codes, nn::SlotState& state,
                                const nn::SlotIds& slots) {
  const auto plain = [&] {
    return decoder_.Decode(codes.to(decoder_.device()), state, slots).to(at::kCPU).contiguous();
  };
  const auto make_program = [&] { return CodecProgram::Decode(decoder_, state); };
  if (!graph_.Serves(slots.size(), make_program)) return plain();
  const FrameRows rows = graph_.Fill(slots, decoder_.transformer(), state);
  const at::Tensor packed = codes.contiguous();
  const int64_t bins = decoder_.quantizer().first().codebooks[0].centroids.size(0);
  const int64_t* from = packed.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < packed.numel(); ++i) {
    // The kernels look them up without a check of their own.
    if (from[i] < 0 || from[i] >= bins) {
      base::ThrowInternal(fmt::format("{} is in no codebook", from[i]));
    }
    rows.frame[i] = static_cast<int32_t>(from[i]);
  }
  const int64_t samples = graph_.program().output().size(1);
  const auto result_of = [&](const int32_t* output) {
    at::Tensor result = at::empty({static_cast<int64_t>(slots.size()), 1, samples}, at::kFloat);
    std::copy_n(reinterpret_cast<const float*>(output), result.numel(), result.data_ptr<float>());
    return result;
  };
  if (!graph_.trusted()) {
    at::Tensor expected;
    return graph_.RunBothWays(
        [&] { return expected = plain(); },
        [&](const int32_t* output) {
          const at::Tensor result = result_of(output);
          for (size_t r = 0; r < slots.size(); ++r) {
            const auto row = static_cast<int64_t>(r);
            if (slots[r] != nn::kPadding &&
                !nn::Close(result[row], expected[row], kLargestError, kInaudible)) {
              return false;
            }
          }
          return true;
        });
  }
  at::Tensor result = result_of(graph_.Run());
  decoder_.transformer().Advance(state, slots, decoder_.transformer().spec().block);
  return result;
}

}  // namespace ppx::codec
