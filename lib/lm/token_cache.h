// lib/lm/token_cache.h: the token streams of one slot, a ring over time, with the delays between
// them (Moshi, arXiv 2410.00037, section 3.4.4). A stream's token of frame f lies at time
// f + delay; a step works on time t = offset.
//
// Not thread-safe: one slot, one thread. Does not sample, does not know the network.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lm/lm_config.h"

namespace ppx::lm {

// One token for each stream: text, agent codebooks, user codebooks.  [1 + n_q]
using FrameTokens = std::vector<int32_t>;

class TokenCache {
 public:
  explicit TokenCache(const LmConfig& config);

  // Back to a new dialogue.
  void Reset();

  // A step is: Provide*, Begin, (Input, model, Put*), Finish.

  // Writes the token of `stream` for the current frame, at time offset + delay, as provided.
  void Provide(int stream, int32_t token);

  // Fills in initial tokens. False for the start-up step, which runs no model: then the step is
  // over.
  [[nodiscard]] bool Begin();

  // What the model is fed: the tokens at time offset - 1.
  // Throws base::Error (kInternal) where a cell was never written.
  FrameTokens Input() const;

  // The cell of `stream` at time offset.
  bool IsProvided(int stream) const;
  int32_t At(int stream) const;

  // Writes a sampled token at time offset, unless the cell is provided.
  void Put(int stream, int32_t token);

  // Ends the step. The tokens of frame offset - max_delay, once there is one.
  std::optional<FrameTokens> Finish();

  // Continues after a saved voice prompt: `steps` steps were begun, `cells` is the cache's content,
  // [streams, width] row by row with column = time mod width.
  void Restore(int64_t steps, std::span<const int64_t> cells);

  // The content, as Restore takes it.
  std::vector<int64_t> Cells() const;

  int64_t offset() const { return offset_; }  // steps begun
  int width() const { return width_; }        // max_delay + 3

 private:
  struct Cell {
    int32_t token = kUngenerated;
    bool provided = false;
  };
  Cell& At(int stream, int64_t time);
  const Cell& At(int stream, int64_t time) const;
  int32_t InitialToken(int stream) const { return stream == 0 ? text_initial_ : audio_initial_; }

  int streams_;
  int width_;
  int max_delay_;
  std::vector<int> delays_;
  int32_t text_initial_;
  int32_t audio_initial_;
  int64_t offset_ = 0;
  std::vector<Cell> cells_;  // [streams, width]
};

}  // namespace ppx::lm
