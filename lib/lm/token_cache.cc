#include "lm/token_cache.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace ppx::lm {

TokenCache::TokenCache(const LmConfig& config)
    : streams_(config.streams()),
      width_(config.max_delay() + 3),
      max_delay_(config.max_delay()),
      delays_(config.delays),
      text_initial_(config.text_card),
      audio_initial_(config.card) {
  Reset();
}

void TokenCache::Reset() {
  offset_ = 0;
  cells_.assign(static_cast<size_t>(streams_) * static_cast<size_t>(width_), Cell{});
}

TokenCache::Cell& TokenCache::At(int stream, int64_t time) {
  return cells_[static_cast<size_t>(int64_t{stream} * width_ + time % width_)];
}
const TokenCache::Cell& TokenCache::At(int stream, int64_t time) const {
  return cells_[static_cast<size_t>(int64_t{stream} * width_ + time % width_)];
}

void TokenCache::Provide(int stream, int32_t token) {
  At(stream, offset_ + delays_[static_cast<size_t>(stream)]) = {token, true};
}

bool TokenCache::Begin() {
  for (int stream = 0; stream < streams_; ++stream) {
    if (offset_ <= delays_[static_cast<size_t>(stream)]) {
      At(stream, offset_) = {InitialToken(stream), true};
    }
  }
  if (offset_ > 0) return true;
  offset_ = 1;
  return false;
}

FrameTokens TokenCache::Input() const {
  FrameTokens tokens;
  for (int stream = 0; stream < streams_; ++stream) {
    const int32_t token = At(stream, offset_ - 1).token;
    if (token == kUngenerated) {
      base::ThrowInternal(fmt::format("stream {} has no token at time {}", stream, offset_ - 1));
    }
    tokens.push_back(token);
  }
  return tokens;
}

bool TokenCache::IsProvided(int stream) const { return At(stream, offset_).provided; }

int32_t TokenCache::At(int stream) const { return At(stream, offset_).token; }

void TokenCache::Put(int stream, int32_t token) {
  Cell& cell = At(stream, offset_);
  if (!cell.provided) cell.token = token;
}

std::optional<FrameTokens> TokenCache::Finish() {
  for (int stream = 0; stream < streams_; ++stream) At(stream, offset_ - 1).provided = false;
  std::optional<FrameTokens> frame;
  if (offset_ > max_delay_) {
    frame.emplace();
    for (int stream = 0; stream < streams_; ++stream) {
      const int64_t time = offset_ - max_delay_ + delays_[static_cast<size_t>(stream)];
      frame->push_back(At(stream, time).token);
    }
  }
  ++offset_;
  return frame;
}

std::vector<int64_t> TokenCache::Cells() const {
  std::vector<int64_t> tokens;
  for (const Cell& cell : cells_) tokens.push_back(cell.token);
  return tokens;
}

void TokenCache::Restore(int64_t steps, std::span<const int64_t> cells) {
  if (cells.size() != cells_.size()) {
    base::ThrowBadInput(fmt::format("the saved token cache has {} cells, this model's has {}",
                                    cells.size(), cells_.size()));
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    const auto stream = static_cast<int>(i) / width_;
    if (cells[i] < kUngenerated || cells[i] > InitialToken(stream)) {
      base::ThrowBadInput(
          fmt::format("the saved token cache holds {}, which is no token of this "
                      "model; is the voice prompt made for it?",
                      cells[i]));
    }
    cells_[i] = {static_cast<int32_t>(cells[i]), false};
  }
  offset_ = steps;
  // As after stepping: what the last voice frame provided ahead of its time still counts.
  for (int stream = 0; stream < streams_; ++stream) {
    for (int delay = 1; delay <= delays_[static_cast<size_t>(stream)]; ++delay) {
      At(stream, offset_ - 1 + delay).provided = true;
    }
  }
}

}  // namespace ppx::lm
