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
//   SyncLanes()       Sync() for the lanes of a group alone
//
// A step of many dependent parts is one kernel of phases (depth.cuh): between two of them the whole
// grid waits. Such a kernel has, in the place of Blocks() and operator()(team, block, shared),
//   int kGrid                                  blocks of the GPU's grid, at most
//   int Phases() const
//   int64_t Blocks(int phase) const
//   Task At(int phase) const                   what the phase does, from tables on the device
//   void Run(Team, Task, int64_t block, Shared&) const
//   void Prefetch(Team, Task, int64_t block, int64_t blocks) const
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

// A group of lanes as a team of its own.
template <class Team>
struct GroupTeam {
  static constexpr int kLanes = Team::kLanes;
  Team team;

  PPX_DEVICE int rank() const { return team.lane(); }
  PPX_DEVICE int size() const { return kLanes; }
  PPX_DEVICE int lane() const { return team.lane(); }
  PPX_DEVICE int group() const { return 0; }
  PPX_DEVICE int groups() const { return 1; }
  PPX_DEVICE void Sync() const { team.SyncLanes(); }
  PPX_DEVICE void SyncLanes() const { team.SyncLanes(); }
  template <class Number>
  PPX_DEVICE Number LaneSum(Number x) const {
    return team.LaneSum(x);
  }
};

}  // namespace ppx::nn::cuda
