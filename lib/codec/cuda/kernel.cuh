// lib/codec/cuda/kernel.cuh: what the kernels of this folder are written with, by its short names.
#pragma once

#include "nn/cuda/number.cuh"
#include "nn/cuda/team.cuh"

namespace ppx::codec::cuda {

using nn::cuda::BlockSum;
using nn::cuda::Chunk;
using nn::cuda::Chunks;
using nn::cuda::kChunk;
using nn::cuda::kMaxGroups;
using nn::cuda::LoadChunk;
using nn::cuda::StoreChunk;

// Blocks of so many elements each.
PPX_HOST_DEVICE int64_t BlocksOf(int64_t elements, int64_t of_a_block) {
  return (elements + of_a_block - 1) / of_a_block;
}

}  // namespace ppx::codec::cuda
