// lib/torchscript/speaker_embedding.h: does the agent sound like its voice prompt? The cosine of
// speaker embeddings from a TorchScript model that the user names (scripts/export-speaker-model
// makes one of WavLM-TDNN).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/timeline.h"

namespace ppx::torchscript {

class SpeakerModel {
 public:
  static constexpr int kRateHz = 16'000;

  // The module maps [1, samples] f32 at 16 kHz to an embedding [1, D] or [D], alone or first in a
  // tuple. Throws base::Error (kBadInput) for a file that is missing or no TorchScript module.
  explicit SpeakerModel(const std::string& path);
  ~SpeakerModel();

  const std::string& path() const { return path_; }
  const std::string& sha256() const { return sha256_; }

  // Resamples first. May be called from several threads. Throws base::Error (kBadInput) where the
  // module fails or gives something else than finite numbers.
  std::vector<float> Embed(const base::Audio& audio) const;

 private:
  struct Module;
  std::string path_;
  std::string sha256_;
  std::unique_ptr<Module> module_;
};

// In [-1, 1]. Throws base::Error (kBadInput) for lengths that differ or an embedding of zeros.
double CosineSimilarity(std::span<const float> a, std::span<const float> b);

}  // namespace ppx::torchscript
