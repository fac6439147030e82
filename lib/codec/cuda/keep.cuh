// lib/codec/cuda/keep.cuh: what the convolutions of a frame have put aside goes to the slots.
#pragma once

#include "codec/cuda/kernel.cuh"

namespace ppx::codec::cuda {

struct Tail {
  const float* next;  // [rows, numbers]
  float* kept;        // [slots, numbers]
  int64_t numbers;
};

// One block a row and convolution. Padding rows are dropped.
struct KeepKernel {
  const Tail* tails;     // [count]
  const int32_t* slots;  // [rows], negative for padding
  int rows;
  int count;

  static constexpr int kThreads = 256;
  struct Shared {};

  int64_t Blocks() const { return int64_t{rows} * count; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& /*shared*/) const {
    const int64_t row = block / count;
    const int64_t slot = slots[row];
    if (slot < 0) return;
    const Tail tail = tails[block % count];
    for (int64_t i = team.rank(); i < tail.numbers; i += team.size()) {
      tail.kept[slot * tail.numbers + i] = tail.next[row * tail.numbers + i];
    }
  }
};

}  // namespace ppx::codec::cuda
