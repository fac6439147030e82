// lib/torchscript/silero_vad.h: Silero's voice activity detector (github.com/snakers4/silero-vad,
// MIT), its TorchScript file `silero_vad.jit` of the 6.2 releases run by LibTorch.
//
// The network sees windows of 512 samples at 16 kHz (32 ms) with the 64 samples before them, and
// carries a recurrent state from window to window.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "annotate/vad.h"
#include "annotate/vad_segments.h"
#include "base/timeline.h"

namespace ppx::torchscript {

class SileroVad final : public annotate::Vad {
 public:
  static constexpr int kRateHz = 16'000;
  static constexpr int kWindowSamples = 512;

  // Throws base::Error (kBadInput) for a file that is missing or another model.
  explicit SileroVad(const std::string& path);
  ~SileroVad() override;

  // Speech of `audio`, resampled to 16 kHz, by the detector's default thresholds; seconds, not
  // rounded. May be called from several threads at once; the result does not depend on it.
  using annotate::Vad::Detect;
  std::vector<base::Segment> Detect(const base::Audio& audio,
                                    std::optional<Lengths> lengths) const override;
  annotate::VadIdentity identity() const override;
  double step_s() const override { return static_cast<double>(kWindowSamples) / kRateHz; }

  // One probability a window, the last window padded with zeros.
  //   samples [N] f32 at 16 kHz -> [ceil(N / 512)] f32
  // All windows go through the convolutions at once, only the recurrent cell is run in order.
  std::vector<float> Probabilities(std::span<const float> samples) const;

  // The same window by window, for audio that is not there yet. One thread.
  class Stream {
   public:
    explicit Stream(const SileroVad& vad);
    ~Stream();
    Stream(Stream&&) noexcept;
    // `window` [512] f32.
    float Step(std::span<const float> window);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Model;
  std::unique_ptr<Model> model_;
};

}  // namespace ppx::torchscript
