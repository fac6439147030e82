// lib/lm/cuda/step_rows.h: what a step of the language model brings to the GPU, as one piece of
// memory that is copied at once.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/slot_state.h"

namespace ppx::lm {

struct LmConfig;
struct LmState;

// The parts of a piece of `Words` 32-bit words, on the host or on the GPU. Owns nothing.
struct StepRows {
  int rows;
  int streams;         // tokens in
  int chosen;          // tokens out: text and the agent's codebooks
  int32_t* tokens;     // [rows, streams]
  int32_t* slots;      // [rows]; nn::kPadding
  int32_t* positions;  // [rows], steps that the slot has seen
  int32_t* fixed;      // [rows, chosen]: the token where it is provided, else kUngenerated
  int32_t* top_k;      // [2, rows]: of text, of audio
  float* temperature;  // [2, rows]; 0 is greedy
  float* uniforms;     // [rows, chosen]

  StepRows(void* memory, int row_count, int stream_count, int chosen_count);
  static int64_t Words(int rows, int streams, int chosen);
};

// Writes the rows `live` of a step and makes the others padding. `positions`: one for each of
// `live`. False where every token is provided, so that there is nothing to choose.
// Throws base::Error (kInternal) for a token that is none of its stream.
bool FillRows(const LmConfig& config, const nn::SlotIds& live,
              const std::vector<int64_t>& positions, const LmState& state, const StepRows& rows);

}  // namespace ppx::lm
