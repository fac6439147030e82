// lib/lm/cuda/attend.cuh: one step of ring attention (nn/ring_attention.h, block 1): the rotary
// embedding, the append to the ring and the attention in one kernel.
#pragma once

#include <cfloat>
#include <cmath>

#include "lm/cuda/kernel.cuh"
#include "nn/cuda/online_softmax.cuh"
#include "nn/cuda/rotary.cuh"

namespace ppx::lm::cuda {

// A block is one split of one head of one row: of the positions that the query sees, all but its
// own are cut into `splits` even runs, so that few rows and heads fill a GPU too. The last split
// also appends the step's own key and value, and sees them. Nobody reads the ring's cell that is
// written: what it held lies outside the query's window.
//
// The positions are shared by groups of lanes (nn/cuda/online_softmax.cuh); the groups, then the
// splits, are merged in a fixed order. So what a row gets depends on nothing but
// its own ring and the number of splits.
template <class T>
struct AttendKernel {
  const T* qkv;              // [rows, 3, heads, dim]
  T* keys;                   // of each slot [heads, capacity, dim], one behind the other
  T* values;                 // as keys
  const int64_t* places;     // [slots, 2]: the steps before a slot's ring, and its capacity;
                             // null: all have `capacity`
  const int32_t* slots;      // [rows], negative for padding; null: row r has slot r
  const int32_t* positions;  // [rows]; null: `position` in every row
  int position;
  const float* frequencies;  // [dim / 2], or null
  T* output;                 // [rows, heads, dim]; written where splits is 1
  float* partial;            // [rows, heads, splits, dim + 2]; written where splits is above 1
  int rows;
  int heads;
  int dim;  // even, at most nn::cuda::kWidestHead
  int capacity;
  int context;
  bool mask_next_slot;
  int splits;

  static constexpr int kThreads = 128;
  static constexpr int kGroups = 8;  // at most, in a team for this kernel
  struct Shared {
    float query[nn::cuda::kWidestHead];
    float key[nn::cuda::kWidestHead];
    float value[nn::cuda::kWidestHead];
    nn::cuda::SoftmaxParts<kGroups> parts;
  };

  int64_t Blocks() const { return int64_t{rows} * heads * splits; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& shared) const {
    const int64_t row = block / (int64_t{heads} * splits);
    const int head = static_cast<int>(block / splits % heads);
    const int split = static_cast<int>(block % splits);
    const int64_t slot = slots == nullptr ? row : slots[row];
    const bool live = slot >= 0;
    const bool appends = live && split == splits - 1;
    const int at = positions == nullptr ? position : positions[row];
    const int64_t owner = live ? slot : 0;
    const int64_t first = places == nullptr ? owner * capacity : places[2 * owner];
    const int steps = places == nullptr ? capacity : static_cast<int>(places[2 * owner + 1]);
    const int64_t ring = (first * heads + int64_t{head} * steps) * dim;
    T* ring_keys = keys + ring;
    T* ring_values = values + ring;

    const int64_t head_offset = (row * 3 * heads + head) * dim;
    const int64_t part = int64_t{heads} * dim;
    nn::cuda::Rotate(team, qkv + head_offset, dim, at, frequencies, shared.query);
    nn::cuda::Rotate(team, qkv + head_offset + part, dim, at, frequencies, shared.key);
    for (int i = team.rank(); i < dim; i += team.size()) {
      shared.value[i] = ToFloat(qkv[head_offset + 2 * part + i]);
    }
    team.Sync();
    if (appends) {
      const int64_t cell = int64_t{at % steps} * dim;
      for (int i = team.rank(); i < dim; i += team.size()) {
        ring_keys[cell + i] = FromFloat<T>(shared.key[i]);
        ring_values[cell + i] = FromFloat<T>(shared.value[i]);
      }
    }

    // The split's positions: begin .. end-1, counted from the lowest that the query sees.
    int lowest = at - context + (mask_next_slot ? 2 : 1);
    if (lowest > at) lowest = at;
    if (lowest < 0) lowest = 0;
    const int64_t older = live ? at - lowest : 0;
    const int begin = static_cast<int>(older * split / splits);
    const int end = static_cast<int>(older * (split + 1) / splits);

    nn::cuda::OnlineSoftmax<Team> softmax;
    softmax.Begin(team, shared.query, dim);
    softmax.AddRing(team, ring_keys, ring_values, dim, steps, lowest % steps, begin, end);
    if (appends && team.group() == 0) softmax.Add(team, shared.key, shared.value, dim);
    // Where there are splits, their maximum and their sum stand behind the values.
    float* split_partial = splits > 1 ? partial + block * (dim + 2) : nullptr;
    softmax.Merge(team, shared.parts, dim, [&](int i, float weighted, float highest, float total) {
      if (splits == 1) {
        output[block * dim + i] = FromFloat<T>(total > 0 ? weighted / total : 0.0F);
        return;
      }
      split_partial[i] = weighted;
      if (i > 0) return;
      split_partial[dim] = highest;
      split_partial[dim + 1] = total;
    });
  }
};

// The splits of a head merged, one block a row and head. A padding row gets zeros.
template <class T>
struct CombineKernel {
  const float* partial;  // as AttendKernel's
  T* output;             // [rows, heads, dim]
  int rows;
  int heads;
  int dim;
  int splits;

  static constexpr int kThreads = 128;
  struct Shared {};

  int64_t Blocks() const { return int64_t{rows} * heads; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& /*shared*/) const {
    const float* first = partial + block * splits * (dim + 2);
    float highest = -FLT_MAX;
    for (int s = 0; s < splits; ++s) highest = fmaxf(highest, first[s * (dim + 2) + dim]);
    float total = 0;
    for (int s = 0; s < splits; ++s) {
      const float* split = first + s * (dim + 2);
      total += split[dim + 1] * expf(split[dim] - highest);
    }
    for (int i = team.rank(); i < dim; i += team.size()) {
      float weighted = 0;
      for (int s = 0; s < splits; ++s) {
        const float* split = first + s * (dim + 2);
        weighted += split[i] * expf(split[dim] - highest);
      }
      output[block * dim + i] = FromFloat<T>(total > 0 ? weighted / total : 0.0F);
    }
  }
};

}  // namespace ppx::lm::cuda
