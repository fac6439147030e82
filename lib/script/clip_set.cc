#include "script/clip_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "audio/loudness.h"
#include "audio/resampler.h"
#include "audio/wav_reader.h"
#include "base/error.h"

namespace ppx::script {
namespace {

constexpr double kStepS = 0.01;
constexpr double kTrimDb = 40;
constexpr double kSpeechRangeDb = 25;

double PowerRatio(double db) { return std::pow(10.0, db / 10.0); }
double Factor(double db) { return std::pow(10.0, db / 20.0); }

double MeanSquare(std::span<const float> samples) {
  double sum = 0;
  for (const float sample : samples) {
    sum += static_cast<double>(sample) * static_cast<double>(sample);
  }
  return samples.empty() ? 0 : sum / static_cast<double>(samples.size());
}

// Of the steps of 10 ms; the last one may be shorter.
std::vector<double> StepPowers(std::span<const float> samples, int rate_hz) {
  const auto step = std::max<size_t>(1, static_cast<size_t>(std::lround(kStepS * rate_hz)));
  std::vector<double> powers;
  for (size_t at = 0; at < samples.size(); at += step) {
    powers.push_back(MeanSquare(samples.subspan(at, std::min(step, samples.size() - at))));
  }
  return powers;
}

void Trim(std::vector<float>& samples, int rate_hz) {
  const std::vector<double> powers = StepPowers(samples, rate_hz);
  const double least = *std::max_element(powers.begin(), powers.end()) / PowerRatio(kTrimDb);
  if (!(least > 0)) return;
  const auto loud = [&](double power) { return power >= least; };
  const auto first = std::find_if(powers.begin(), powers.end(), loud) - powers.begin();
  const auto after = powers.rend() - std::find_if(powers.rbegin(), powers.rend(), loud);
  const auto step = static_cast<int64_t>(std::lround(kStepS * rate_hz));
  const auto size = static_cast<int64_t>(samples.size());
  samples.erase(samples.begin() + std::min(size, after * step), samples.end());
  samples.erase(samples.begin(), samples.begin() + first * step);
}

void Fade(std::vector<float>& samples, double in_s, double out_s, int rate_hz) {
  const auto size = static_cast<int64_t>(samples.size());
  const auto ramp = [&](double seconds, auto place) {
    const auto length = static_cast<int64_t>(std::llround(seconds * rate_hz));
    for (int64_t i = 0; i < std::min(length, size); ++i) {
      samples[static_cast<size_t>(place(i))] *=
          static_cast<float>(static_cast<double>(i) / static_cast<double>(length));
    }
  };
  ramp(in_s, [](int64_t i) { return i; });
  ramp(out_s, [&](int64_t i) { return size - 1 - i; });
}

base::Audio ReadClipFile(const Clip& clip) {
  base::Audio audio = audio::ReadAudio(clip.file, clip.channel);
  const auto place = [&](double seconds) {
    const double sample = std::round(seconds * audio.sample_rate_hz);
    return static_cast<std::ptrdiff_t>(std::min(sample, static_cast<double>(audio.samples.size())));
  };
  if (clip.to_s) audio.samples.resize(static_cast<size_t>(place(*clip.to_s)));
  const auto from = place(clip.from_s);
  if (from >= static_cast<std::ptrdiff_t>(audio.samples.size())) {
    base::ThrowBadInput(fmt::format("{} has nothing from {} s on; it ends at {:.3f} s", clip.file,
                                    clip.from_s, audio.duration_s()));
  }
  audio.samples.erase(audio.samples.begin(), audio.samples.begin() + from);
  return audio;
}

std::vector<float> LoadClip(const Clip& clip, int rate_hz, const SpeechSynthesiser* synthesiser) {
  if (clip.file.empty() && synthesiser == nullptr) {
    base::ThrowUsage(
        "has a text to say, and there is no speech synthesiser; name one, or record "
        "the text and give the clip a 'file'");
  }
  const base::Audio audio =
      clip.file.empty() ? synthesiser->Speak(clip.say, clip.options) : ReadClipFile(clip);
  std::vector<float> samples = audio::Resample(audio, rate_hz).samples;
  if (samples.empty()) base::ThrowBadInput("has no samples");
  if (clip.trim) Trim(samples, rate_hz);
  if (clip.loudness_lufs &&
      !audio::NormalizeLoudness(samples, rate_hz, *clip.loudness_lufs).applied) {
    base::ThrowBadInput(
        "is silent or shorter than 0.4 s, so that it has no loudness; use 'gain_db' "
        "in place of 'loudness_lufs'");
  }
  const auto gain = static_cast<float>(Factor(clip.gain_db));
  for (float& sample : samples) sample *= gain;
  Fade(samples, clip.fade_in_s, clip.fade_out_s, rate_hz);
  return samples;
}

// Runs `load` with the place in the script before the text of what it throws.
template <typename Load>
auto At(const std::string& where, const std::string& what, Load&& load) {
  try {
    return load();
  } catch (const base::Error& error) {
    throw base::Error(error.code(), fmt::format("{}: {}: {}", where, what, error.what()));
  }
}

double SpeechPower(const DialogueScript& script, const ClipSet& set) {
  std::set<size_t> played;
  for (const Step& step : script.steps) {
    if (step.kind == StepKind::kPlay) played.insert(step.clip);
    if (step.within_s && step.on_timeout == TimeoutAction::kPlay) played.insert(step.timeout_clip);
  }
  std::vector<double> powers;
  for (const size_t clip : played) {
    const auto more = StepPowers(set.clips[clip], set.sample_rate_hz);
    powers.insert(powers.end(), more.begin(), more.end());
  }
  const auto loudest = std::max_element(powers.begin(), powers.end());
  if (loudest == powers.end() || !(*loudest > 0)) {
    base::ThrowBadInput(
        "'snr_db' is relative to the clips that steps play, which are silent or "
        "missing; use 'level_db'");
  }
  const double least = *loudest / PowerRatio(kSpeechRangeDb);
  std::erase_if(powers, [&](double power) { return power < least; });
  double sum = 0;
  for (const double power : powers) sum += power;
  return sum / static_cast<double>(powers.size());
}

void LoadNoise(const DialogueScript& script, ClipSet& set) {
  const NoiseSpec& noise = *script.noise;
  set.noise_rms = noise.level_db ? Factor(*noise.level_db)
                                 : std::sqrt(SpeechPower(script, set)) / Factor(*noise.snr_db);
  if (noise.kind != NoiseKind::kFile) return;
  set.noise =
      audio::Resample(audio::ReadAudio(noise.file, noise.channel), set.sample_rate_hz).samples;
  const double rms = std::sqrt(MeanSquare(set.noise));
  if (!(rms > 0)) base::ThrowBadInput(noise.file + " is silent; use a recording of noise");
  const auto gain = static_cast<float>(set.noise_rms / rms);
  for (float& sample : set.noise) sample *= gain;
}

}  // namespace

ClipSet LoadClips(const DialogueScript& script, int sample_rate_hz,
                  const SpeechSynthesiser* synthesiser) {
  ClipSet set;
  set.sample_rate_hz = sample_rate_hz;
  for (const Clip& clip : script.clips) {
    set.clips.push_back(At(clip.where, fmt::format("clip '{}'", clip.name),
                           [&] { return LoadClip(clip, sample_rate_hz, synthesiser); }));
  }
  if (script.noise) At(script.noise->where, "noise", [&] { LoadNoise(script, set); });
  return set;
}

}  // namespace ppx::script
