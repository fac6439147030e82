// lib/nn/cuda/rotary.cuh: the rotary embedding of one vector of a head.
#pragma once

#include <cmath>

#include "nn/cuda/number.cuh"

namespace ppx::nn::cuda {

// A vector of `elements`, an even number, turned by its position `at` and rounded as it is stored.
// `frequencies` [elements / 2]; null: not turned.
template <class T, class Team>
PPX_DEVICE void Rotate(Team team, const T* from, int elements, int at, const float* frequencies,
                       float* to) {
  for (int pair = team.rank(); pair < elements / 2; pair += team.size()) {
    const float x0 = ToFloat(from[2 * pair]);
    const float x1 = ToFloat(from[2 * pair + 1]);
    float sine = 0;
    float cosine = 1;
    if (frequencies != nullptr) {
      const float angle = static_cast<float>(at) * frequencies[pair];
      sine = sinf(angle);
      cosine = cosf(angle);
    }
    to[2 * pair] = Stored<T>(x0 * cosine - x1 * sine);
    to[2 * pair + 1] = Stored<T>(x0 * sine + x1 * cosine);
  }
}

}  // namespace ppx::nn::cuda
