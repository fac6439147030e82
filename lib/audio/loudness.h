// lib/audio/loudness.h: integrated loudness of mono audio, and bringing audio to a target loudness.
//
// The measure of ITU-R BS.1770-4 with the filters that the voice prompts were made with:
// K-weighting as two biquads of the RBJ audio EQ cookbook at the audio's own rate (high shelf 1500
// Hz, +4 dB, Q 1/sqrt(2); then high-pass 38 Hz, Q 0.5), where the standard tabulates coefficients.
// At 24 kHz the two differ by 0.084 LU, which is enough to change the codec's tokens.
//
// Blocks of 400 ms start every 100 ms, round((T - 0.4 s) / 0.1 s) + 1 of them (ties to even; the
// last one may reach beyond the end, where the audio counts as zero). Blocks below -70 LUFS are
// left out, then those not above the mean of the rest less 10 LU. L = -0.691 + 10 log10(mean
// square).
//
// Loudness is computed in double precision, the gain is applied in float.
//
// Not done: more channels than one, momentary and short-term loudness, true peak.
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace ppx::audio {

// LUFS. No value: shorter than one block, so there is no loudness. Minus infinity: no block is
// louder than -70 LUFS, as in silence. `samples` [N] f32, finite. Throws base::Error (kBadInput)
// for a rate of 3000 Hz or less, where the shelf at 1500 Hz cannot exist.
std::optional<double> IntegratedLoudnessLufs(std::span<const float> samples, int rate_hz);

struct LoudnessGain {
  bool applied = false;              // false: too short or silent, the samples are as they were
  std::optional<double> input_lufs;  // as IntegratedLoudnessLufs gives it
  double gain = 1.0;                 // factor that the samples were multiplied by
};

// Multiplies `samples` by 10^((target - loudness) / 20). There is no limiter: the result may exceed
// [-1, 1]. Throws as IntegratedLoudnessLufs does.
LoudnessGain NormalizeLoudness(std::vector<float>& samples, int rate_hz, double target_lufs);

}  // namespace ppx::audio
