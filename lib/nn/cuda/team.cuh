// lib/nn/cuda/team.cuh: how the kernels of a recorded step are written, so that every line of their
// arithmetic runs, and is tested, where there is no GPU.
//
// A kernel is a plain struct with its arguments and
//   kThreads                                   threads of a block on the GPU
//   struct Shared                              what the threads of a block share
//   int64_t Blocks() const
//   void operator()(Team, int64_t block, Shared&) const
// nvcc compiles the body for the GPU; any other compiler sees an ordinary function that
// the tests call with a team of their own. A Team is the threads of one block:
//   rank(), size()    this thread and how many there are; loops go from rank() by size(), so that
//                     any size gives the same result
//   Sync()            a barrier, which also orders the shared memory
//   kLanes            so many neighbours form a group: lane(), group(), groups()
//   LaneSum(x)        sum over the lanes of a group, the same bits in every lane. All lanes of the
//                     group must call it.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define PPX_DEVICE __device__ inline
#define PPX_HOST_DEVICE __host__ __device__ inline
#define PPX_UNROLL _Pragma("unroll")
#else
#define PPX_DEVICE inline
#define PPX_HOST_DEVICE inline
#define PPX_UNROLL
#endif

namespace ppx::nn::cuda {

// No team has more groups than this.
inline constexpr int kMaxGroups = 64;

// Sums of N numbers over all threads, the same bits in every thread. `partial` may be reused after
// the return.
template <class Team, class Number, int N>
PPX_DEVICE void BlockSum(Team team, Number (&sums)[N], Number (&partial)[kMaxGroups][N]) {
  for (int n = 0; n < N; ++n) sums[n] = team.LaneSum(sums[n]);
  if (team.lane() == 0) {
    for (int n = 0; n < N; ++n) partial[team.group()][n] = sums[n];
  }
  team.Sync();
  for (int n = 0; n < N; ++n) {
    Number sum = 0;
    for (int group = team.lane(); group < team.groups(); group += Team::kLanes) {
      sum += partial[group][n];
    }
    sums[n] = team.LaneSum(sum);
  }
  team.Sync();
}

}  // namespace ppx::nn::cuda
