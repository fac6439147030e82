// lib/codec/cuda/codec_program.h: one frame of all slots through the codec as a fixed list of
// operations on fixed memory, from samples to codes or back: no allocation, no question to the
// host, so that it can be recorded once and replayed.
//
// The kernels of this folder go to a queue that the caller brings; matrix products are LibTorch's,
// on its current stream. With a queue that runs the kernels' bodies on the host the same list runs
// on the CPU: so it is tested.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "codec/cuda/attend_block.cuh"
#include "codec/cuda/centroids.cuh"
#include "codec/cuda/depthwise.cuh"
#include "codec/cuda/gelu.cuh"
#include "codec/cuda/keep.cuh"
#include "codec/cuda/layer_norm.cuh"
#include "codec/cuda/nearest.cuh"
#include "codec/cuda/windows.cuh"
#include "codec/mimi.h"
#include "nn/slot_state.h"

namespace ppx::codec {

// What a frame brings to the GPU, the parts of a piece of 32-bit words. Owns nothing.
struct FrameRows {
  FrameRows(void* memory, int row_count);
  static int64_t Words(int rows, int64_t width) { return rows * (3 + width); }

  int rows;
  int32_t* slots;      // [rows]; nn::kPadding
  int32_t* positions;  // [rows], steps of the transformer that the slot has seen
  int32_t* starts;     // [rows], 1 where it is the slot's first frame, of those that replicate
  int32_t* frame;      // [rows, width]: samples as floats, or codes
};

class CodecProgram {
 public:
  // Of a model and a state of its own, for as many rows as the state has slots: weights and state
  // are used where they lie. Null for what the kernels cannot run: packed weights, heads wider than
  // 128, frames of more than 8 steps.
  static std::unique_ptr<CodecProgram> Encode(const MimiEncoder& encoder, nn::SlotState& state);
  static std::unique_ptr<CodecProgram> Decode(const MimiDecoder& decoder, nn::SlotState& state);

  // All operations of a frame, in order. `queue(kernel)` runs a kernel behind what was queued so
  // far, LibTorch's operations included. Moves no counter of the state.
  template <class Queue>
  void Enqueue(const Queue& queue) const {
    for (const Operation& operation : operations_) {
      std::visit(
          [&](const auto& one) {
            if constexpr (requires { one.Run(); }) {
              one.Run();
            } else {
              queue(one);
            }
          },
          operation);
    }
  }

  int rows() const { return rows_; }
  // What Enqueue reads, laid out as FrameRows: int32.
  const at::Tensor& input() const { return input_; }
  FrameRows RowsIn(void* memory) const { return {memory, rows_}; }
  // What it leaves: codes [rows, levels] int32, or samples [rows, frame_samples] f32; and,
  // encoding, the latent [rows, dimension] on the way.
  const at::Tensor& output() const { return output_; }
  const at::Tensor& latent() const { return latent_; }
  // Of the state, what it changes besides the rings: [slots, steps, channels] each.
  const std::vector<at::Tensor>& tails() const { return tails_; }

 private:
  // out = x * weight, with a bias; or added to `out`.
  struct Product {
    at::Tensor x;       // [n, inputs]
    at::Tensor weight;  // [inputs, outputs]
    at::Tensor bias;    // [outputs], or undefined
    at::Tensor out;     // [n, outputs]
    bool add = false;
    void Run() const;
  };
  struct Addition {
    at::Tensor to;
    at::Tensor from;
    void Run() const { to.add_(from); }
  };
  using Operation =
      std::variant<Product, Addition, cuda::WindowsKernel, cuda::KeepKernel, cuda::DepthwiseKernel,
                   cuda::LayerNormKernel, cuda::GeluKernel, cuda::AttendBlockKernel,
                   cuda::NearestKernel, cuda::CentroidsKernel>;
  class Builder;

  CodecProgram() = default;

  int rows_ = 0;
  std::vector<Operation> operations_;
  std::vector<at::Tensor> memory_;  // that kernels have addresses of
  std::vector<at::Tensor> tails_;
  at::Tensor input_;
  at::Tensor output_;
  at::Tensor latent_;
};

}  // namespace ppx::codec
