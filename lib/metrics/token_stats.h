// lib/metrics/token_stats.h: do the agent's codec tokens look like those of speech?
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace ppx::metrics {

// The agent's tokens: row by row, `codebooks` a frame.  [frames, codebooks]
struct TokenRows {
  std::span<const int32_t> tokens;
  size_t codebooks = 8;

  size_t frames() const { return tokens.size() / codebooks; }
};

// Frames of the longest run in which all codebooks stay the same; 1 where none repeats, 0 for no
// frames.
size_t LongestRepeat(const TokenRows& rows);

// The least Shannon entropy, in bits, of the first codebook's tokens in any `window` frames on end.
// Speech has about 5 bits in 5 s; a codec that is stuck, near 0. No value for fewer frames.
std::optional<double> LeastEntropyBits(const TokenRows& rows, size_t window);

}  // namespace ppx::metrics
