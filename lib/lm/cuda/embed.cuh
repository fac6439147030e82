// lib/lm/cuda/embed.cuh: the sum of the embeddings of a frame's tokens.
#pragma once

#include "lm/cuda/kernel.cuh"

namespace ppx::lm::cuda {

// A token of -1 adds nothing. Added in the order of the plain step, each sum stored as a T: the
// audio streams, then the text.
template <class T>
struct EmbedKernel {
  const T* const* tables;  // [streams] of [card of the stream, dim]; 0 is the text
  const int32_t* tokens;   // [rows, streams]; each within its table
  T* output;               // [rows, dim]
  int rows;
  int streams;
  int dim;

  static constexpr int kThreads = 128;
  struct Shared {};

  PPX_DEVICE int64_t BlocksPerRow() const { return (Chunks(dim) + kThreads - 1) / kThreads; }
  int64_t Blocks() const { return rows * ((dim + kChunk * kThreads - 1) / (kChunk * kThreads)); }

  template <class Team>
  PPX_DEVICE void operator()(Team team, int64_t block, Shared& /*shared*/) const {
    const int64_t row = block / BlocksPerRow();
    const int first = static_cast<int>(block % BlocksPerRow()) * kThreads;
    const int32_t* row_tokens = tokens + row * streams;
    for (int c = first + team.rank(); c < Chunks(dim) && c < first + kThreads; c += team.size()) {
      float sum[kChunk] = {};
      for (int s = 1; s <= streams; ++s) {
        const int stream = s % streams;
        const int32_t token = row_tokens[stream];
        if (token < 0) continue;
        const Chunk<T> chunk = LoadChunk(tables[stream] + int64_t{token} * dim, c, dim);
        for (int i = 0; i < kChunk; ++i) sum[i] = Stored<T>(sum[i] + ToFloat(chunk.at[i]));
      }
      Chunk<T> chunk;
      for (int i = 0; i < kChunk; ++i) chunk.at[i] = FromFloat<T>(sum[i]);
      StoreChunk(chunk, output + row * dim, c, dim);
    }
  }
};

}  // namespace ppx::lm::cuda
