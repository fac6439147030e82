// lib/codec/cuda/nearest.cuh: one level of the search for a latent's codes (codec/split_rvq.h).
#pragma once

#include <cmath>

#include "codec/cuda/kernel.cuh"

namespace ppx::codec::cuda {

// The code of a row is its highest score, the first of equal ones. Its centroid is subtracted from
// the residual, which the next level quantises. Always within the codebook, whatever the scores.
struct NearestKernel {
  const float* scores;     // [rows, bins]
  const float* centroids;  // [bins, dim]
  float* residual;         // [rows, dim]
  int32_t* codes;          // row r's at codes[r * stride]
  int stride;
  int rows;
  int bins;
  int dim;

  static constexpr int kThreads = 256;  // at most, in a team for this kernel
  struct Shared {
    float highest[kThreads];
    int code[kThreads];
  };

  int64_t Blocks() const { return rows; }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t row, Shared& shared) const {
    const float* row_scores = scores + row * bins;
    float highest = -INFINITY;
    int code = bins;  // behind every code
    for (int i = team.rank(); i < bins; i += team.size()) {
      if (row_scores[i] > highest) {
        highest = row_scores[i];
        code = i;
      }
    }
    shared.highest[team.rank()] = highest;
    shared.code[team.rank()] = code;
    team.Sync();
    // The lower half takes the better of itself and the upper half.
    for (int width = team.size(); width > 1;) {
      const int half = (width + 1) / 2;
      const int mine = team.rank();
      const int other = mine + half;
      if (other < width && (shared.highest[other] > shared.highest[mine] ||
                            (shared.highest[other] == shared.highest[mine] &&
                             shared.code[other] < shared.code[mine]))) {
        shared.highest[mine] = shared.highest[other];
        shared.code[mine] = shared.code[other];
      }
      team.Sync();
      width = half;
    }
    const int found = shared.code[0] < bins ? shared.code[0] : 0;
    if (team.rank() == 0) codes[row * stride] = found;
    for (int i = team.rank(); i < dim; i += team.size()) {
      residual[row * dim + i] -= centroids[int64_t{found} * dim + i];
    }
  }
};

}  // namespace ppx::codec::cuda
