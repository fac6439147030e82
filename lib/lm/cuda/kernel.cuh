// lib/lm/cuda/kernel.cuh: what the kernels of this folder are written with, by its short names.
#pragma once

#include "nn/cuda/number.cuh"
#include "nn/cuda/team.cuh"

namespace ppx::lm::cuda {

using nn::cuda::Bf16;
using nn::cuda::BitsOf;
using nn::cuda::BlockSum;
using nn::cuda::Chunk;
using nn::cuda::Chunks;
using nn::cuda::FloatOfBits;
using nn::cuda::FromFloat;
using nn::cuda::GroupTeam;
using nn::cuda::kChunk;
using nn::cuda::kMaxGroups;
using nn::cuda::LoadChunk;
using nn::cuda::StoreChunk;
using nn::cuda::Stored;
using nn::cuda::ToFloat;

}  // namespace ppx::lm::cuda
