// lib/codec/cuda/attend_block.cuh: ring attention of one block of steps (nn/ring_attention.h): the
// rotary embedding, the append to the ring and the attention in one kernel.
#pragma once

#include "codec/cuda/kernel.cuh"
#include "nn/cuda/online_softmax.cuh"
#include "nn/cuda/rotary.cuh"

namespace ppx::codec::cuda {

inline constexpr int kMostSteps = 8;

// One thread block for each query: a step of a head of a row. It turns the keys of its block of
// steps itself, up to its own; that of the last step also appends them all. Nobody reads the cells
// that are written: what they held lies outside the window of every query of the block.
struct AttendBlockKernel {
  const float* qkv;          // [rows, steps, 3, heads, dim]
  float* keys;               // [slots, heads, capacity, dim]
  float* values;             // as keys
  const int32_t* slots;      // [rows], negative for padding, which sees its block alone
  const int32_t* positions;  // [rows], of a row's first step
  const float* frequencies;  // [dim / 2], or null
  float* output;             // [rows, steps, heads, dim]
  int rows;
  int steps;  // at most kMostSteps and the capacity
  int heads;
  int dim;  // even, at most nn::cuda::kWidestHead
  int capacity;
  int context;
  bool mask_next_slot;

  static constexpr int kThreads = 256;
  static constexpr int kGroups = 16;  // at most, in a team for this kernel
  struct Shared {
    float query[nn::cuda::kWidestHead];
    float key[kMostSteps][nn::cuda::kWidestHead];
    float value[kMostSteps][nn::cuda::kWidestHead];
    nn::cuda::SoftmaxParts<kGroups> parts;
  };

  int64_t Blocks() const { return int64_t{rows} * heads * steps; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& shared) const {
    const int64_t row = block / (int64_t{heads} * steps);
    const int head = static_cast<int>(block / steps % heads);
    const int query = static_cast<int>(block % steps);
    const int64_t slot = slots[row];
    const bool live = slot >= 0;
    const int first = live ? positions[row] : 0;
    const int64_t ring = ((live ? slot : 0) * heads + head) * capacity * dim;

    // Of part 0, 1 or 2, q, k or v, of a step.
    const auto vector = [&](int step, int part) {
      return qkv + (((row * steps + step) * 3 + part) * heads + head) * dim;
    };
    nn::cuda::Rotate(team, vector(query, 0), dim, first + query, frequencies, shared.query);
    for (int step = 0; step <= query; ++step) {
      nn::cuda::Rotate(team, vector(step, 1), dim, first + step, frequencies, shared.key[step]);
      const float* value = vector(step, 2);
      for (int i = team.rank(); i < dim; i += team.size()) shared.value[step][i] = value[i];
    }
    team.Sync();
    if (live && query == steps - 1) {
      for (int step = 0; step < steps; ++step) {
        const int64_t cell = ring + int64_t{(first + step) % capacity} * dim;
        for (int i = team.rank(); i < dim; i += team.size()) {
          keys[cell + i] = shared.key[step][i];
          values[cell + i] = shared.value[step][i];
        }
      }
    }

    const int at = first + query;
    int lowest = mask_next_slot ? first + steps - context + 1 : at - context + 1;
    if (lowest > at) lowest = at;
    if (lowest < 0) lowest = 0;
    nn::cuda::OnlineSoftmax<Team> softmax;
    softmax.Begin(team, shared.query, dim);
    if (lowest < first) {
      softmax.AddRing(team, keys + ring, values + ring, dim, capacity, lowest % capacity, 0,
                      first - lowest);
    }
    for (int step = lowest > first ? lowest - first : 0; step <= query; ++step) {
      if (step % team.groups() != team.group()) continue;
      softmax.Add(team, shared.key[step], shared.value[step], dim);
    }
    float* to = output + ((row * steps + query) * heads + head) * dim;
    softmax.Merge(
        team, shared.parts, dim,
        [&](int i, float weighted, float /*highest*/, float total) { to[i] = weighted / total; });
  }
};

}  // namespace ppx::codec::cuda
