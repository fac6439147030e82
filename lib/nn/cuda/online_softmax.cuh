// lib/nn/cuda/online_softmax.cuh: attention of one query, position by position (Milakov and
// Gimelshein, arXiv 1805.02867): groups of lanes take positions of their own and are merged at the
// end, in a fixed order.
#pragma once

#include <cfloat>
#include <cmath>

#include "nn/cuda/number.cuh"

namespace ppx::nn::cuda {

// Of a step that is recorded.
inline constexpr int kWidestHead = 128;

// Where the groups of a block meet.
template <int kGroups>
struct SoftmaxParts {
  float highest[kGroups];
  float total[kGroups];
  float weighted[kGroups][kWidestHead];
};

// Of one group; each lane holds its chunks of the query and of the weighted values. Vectors have at
// most kWidestHead elements.
template <class Team>
struct OnlineSoftmax {
  static constexpr int kLaneChunks = (kWidestHead / kChunk + Team::kLanes - 1) / Team::kLanes;
  static constexpr int kTile = 4;  // positions whose keys and values are asked for at once

  float highest = -FLT_MAX;
  float total = 0;
  float scale = 0;
  float query[kLaneChunks][kChunk] = {};
  float weighted[kLaneChunks][kChunk] = {};

  PPX_DEVICE void Begin(Team team, const float* whole_query, int elements) {
    scale = 1.0F / sqrtf(static_cast<float>(elements));
    PPX_UNROLL
    for (int j = 0; j < kLaneChunks; ++j) {
      PPX_UNROLL
      for (int i = 0; i < kChunk; ++i) {
        const int element = (team.lane() + j * Team::kLanes) * kChunk + i;
        if (element < elements) query[j][i] = whole_query[element];
      }
    }
  }

  // One more position: key(j, i) and value(j, i) are this lane's elements, zero behind the end. All
  // lanes of the group call it.
  template <class Key, class Value>
  PPX_DEVICE void Add(Team team, Key key, Value value) {
    float score = 0;
    PPX_UNROLL
    for (int j = 0; j < kLaneChunks; ++j) {
      PPX_UNROLL
      for (int i = 0; i < kChunk; ++i) score += query[j][i] * key(j, i);
    }
    score = team.LaneSum(score) * scale;
    const float raised = score > highest ? score : highest;
    const float keep = expf(highest - raised);
    const float weight = expf(score - raised);
    total = total * keep + weight;
    PPX_UNROLL
    for (int j = 0; j < kLaneChunks; ++j) {
      PPX_UNROLL
      for (int i = 0; i < kChunk; ++i) {
        weighted[j][i] = weighted[j][i] * keep + weight * value(j, i);
      }
    }
    highest = raised;
  }

  // The same of whole vectors.
  PPX_DEVICE void Add(Team team, const float* key, const float* value, int elements) {
    const auto own = [&](const float* vector, int j, int i) {
      const int element = (team.lane() + j * Team::kLanes) * kChunk + i;
      return element < elements ? vector[element] : 0.0F;
    };
    Add(
        team, [&](int j, int i) { return own(key, j, i); },
        [&](int j, int i) { return own(value, j, i); });
  }

  // The group's share, every groups()-th, of the positions begin .. end-1, counted from the one in
  // cell `first_cell` of a ring [capacity, elements]. There are at most `capacity` positions.
  template <class T>
  PPX_DEVICE void AddRing(Team team, const T* keys, const T* values, int elements, int capacity,
                          int first_cell, int begin, int end) {
    for (int p = begin + team.group(); p < end; p += kTile * team.groups()) {
      Chunk<T> tile_keys[kTile][kLaneChunks] = {};
      Chunk<T> tile_values[kTile][kLaneChunks] = {};
      PPX_UNROLL
      for (int t = 0; t < kTile; ++t) {
        const int at = p + t * team.groups();
        int cell = first_cell + at;  // wraps at most once
        if (cell >= capacity) cell -= capacity;
        const int64_t from = int64_t{cell} * elements;
        PPX_UNROLL
        for (int j = 0; j < kLaneChunks; ++j) {
          const int c = team.lane() + j * Team::kLanes;
          if (at >= end || c >= Chunks(elements)) continue;
          tile_keys[t][j] = LoadChunk(keys + from, c, elements);
          tile_values[t][j] = LoadChunk(values + from, c, elements);
        }
      }
      PPX_UNROLL
      for (int t = 0; t < kTile; ++t) {
        if (p + t * team.groups() >= end) continue;
        Add(
            team, [&](int j, int i) { return ToFloat(tile_keys[t][j].at[i]); },
            [&](int j, int i) { return ToFloat(tile_values[t][j].at[i]); });
      }
    }
  }

  // All threads of the block call it. store(i, weighted, highest, total) gets element i of the
  // weighted values of all groups, not yet divided by their total weight.
  template <int kGroups, class Store>
  PPX_DEVICE void Merge(Team team, SoftmaxParts<kGroups>& parts, int elements, Store store) const {
    if (team.lane() == 0) {
      parts.highest[team.group()] = highest;
      parts.total[team.group()] = total;
    }
    PPX_UNROLL
    for (int j = 0; j < kLaneChunks; ++j) {
      PPX_UNROLL
      for (int i = 0; i < kChunk; ++i) {
        const int element = (team.lane() + j * Team::kLanes) * kChunk + i;
        if (element < elements) parts.weighted[team.group()][element] = weighted[j][i];
      }
    }
    team.Sync();
    float block_highest = parts.highest[0];
    for (int g = 1; g < team.groups(); ++g) block_highest = fmaxf(block_highest, parts.highest[g]);
    float block_total = 0;
    for (int g = 0; g < team.groups(); ++g) {
      block_total += parts.total[g] * expf(parts.highest[g] - block_highest);
    }
    for (int i = team.rank(); i < elements; i += team.size()) {
      float sum = 0;
      for (int g = 0; g < team.groups(); ++g) {
        sum += parts.weighted[g][i] * expf(parts.highest[g] - block_highest);
      }
      store(i, sum, block_highest, block_total);
    }
  }
};

}  // namespace ppx::nn::cuda
