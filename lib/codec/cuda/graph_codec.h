// lib/codec/cuda/graph_codec.h: one frame of all slots through the codec, recorded once and
// replayed, and the trust in it.
//
// On a GPU a frame is some hundreds of small operations in each direction, and rows that are
// gathered from the slots one by one. Recorded as a CUDA graph they are given at once: samples in,
// codes out, or the other way.
//
// As the language model's step (lm/cuda/graph_step.h) a recorded frame must earn its place: the
// first frames run both ways, the plain path's result is used, and result, latent and what the
// slots keep are compared. Where they disagree, or where nothing could be recorded, the plain path
// serves from then on, and one warning goes to stderr. It also serves on the CPU, where the
// environment has PPX_CUDA_GRAPH=0, and for a frame that is tapped.
//
// Not thread-safe: one state, one thread.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/cuda/codec_program.h"
#include "codec/mimi.h"
#include "nn/cuda/program_runner.h"
#include "nn/debug_tap.h"
#include "nn/slot_state.h"

namespace ppx::codec {

// Records the program, of a CUDA device, for LibTorch's current stream. Null where this build has
// no kernels. Throws base::Error (kResource) or c10::Error where it cannot be recorded. `program`
// outlives the runner.
std::unique_ptr<nn::ProgramRunner> RecordCudaGraph(CodecProgram& program);

// What both directions share.
class GraphCodec {
 public:
  using MakeProgram = std::function<std::unique_ptr<CodecProgram>()>;
  using MakeRunner = std::function<std::unique_ptr<nn::ProgramRunner>(CodecProgram&)>;

  // Without a `make_runner` the plain path serves.
  explicit GraphCodec(MakeRunner make_runner) : make_runner_(std::move(make_runner)) {}

  // The runner of a model on `device`: a CUDA graph, or none.
  static MakeRunner RunnerFor(at::Device device);

  // Whether the recorded frame serves so many rows. Records it when it is first asked.
  bool Serves(size_t rows, const MakeProgram& make_program);
  // True when the comparisons are over.
  bool trusted() const { return runner_ != nullptr && left_to_check_ == 0; }
  const CodecProgram& program() const { return *program_; }

  // What the next Run reads, filled for `slots`; `frame` is zeros.
  FrameRows Fill(const nn::SlotIds& slots, const nn::Transformer& transformer,
                 const nn::SlotState& state);
  // The program's output; null where it failed and is not yet trusted.
  const int32_t* Run();
  // Runs the frame both ways and judges: `plain` gives what is returned, agrees(result) says
  // whether the recorded frame's output is as good. Afterwards the state is the plain path's.
  at::Tensor RunBothWays(const std::function<at::Tensor()>& plain,
                         const std::function<bool(const int32_t* output)>& agrees);

 private:
  std::vector<at::Tensor> Tails() const;
  void Distrust(std::string_view reason);

  MakeRunner make_runner_;
  bool asked_ = false;
  int left_to_check_ = 0;
  std::unique_ptr<CodecProgram> program_;
  // Goes before the program. Null: the plain path serves.
  std::unique_ptr<nn::ProgramRunner> runner_;
};

class GraphEncoder {
 public:
  // The encoder outlives it.
  explicit GraphEncoder(const MimiEncoder& encoder)
      : GraphEncoder(encoder, GraphCodec::RunnerFor(encoder.device())) {}
  GraphEncoder(const MimiEncoder& encoder, GraphCodec::MakeRunner make_runner)
      : encoder_(encoder), graph_(std::move(make_runner)) {}

  // As MimiEncoder::Encode, one frame a row: pcm [n, 1, frame_samples] f32 in host memory -> [n,
  // levels, 1] int32 in host memory. `state` is the same in every call, its tensors stay where they
  // are.
  at::Tensor Encode(const at::Tensor& pcm, nn::SlotState& state, const nn::SlotIds& slots,
                    const nn::DebugTap& tap = {});

  bool trusted() const { return graph_.trusted(); }

 private:
  at::Tensor Plain(const at::Tensor& pcm, nn::SlotState& state, const nn::SlotIds& slots,
                   const nn::DebugTap& tap) const;
  bool Agrees(const int32_t* codes, const nn::SlotIds& slots, const at::Tensor& plain_latent) const;

  const MimiEncoder& encoder_;
  GraphCodec graph_;
};

class GraphDecoder {
 public:
  explicit GraphDecoder(const MimiDecoder& decoder)
      : GraphDecoder(decoder, GraphCodec::RunnerFor(decoder.device())) {}
  GraphDecoder(const MimiDecoder& decoder, GraphCodec::MakeRunner make_runner)
      : decoder_(decoder), graph_(std::move(make_runner)) {}

  // As MimiDecoder::Decode, one frame a row: codes [n, levels, 1] int64 -> [n, 1, frame_samples]
  // f32, both in host memory; `state` as above. Throws base::Error (kInternal) for a code that is
  // in no codebook.
  at::Tensor Decode(const at::Tensor& codes, nn::SlotState& state, const nn::SlotIds& slots);

  bool trusted() const { return graph_.trusted(); }

 private:
  const MimiDecoder& decoder_;
  GraphCodec graph_;
};

}  // namespace ppx::codec
