#include "engine/offline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "audio/framer.h"
#include "audio/resampler.h"
#include "audio/wav_reader.h"
#include "base/error.h"

namespace ppx::engine {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::vector<float> DialogueAudio::AlignedUser(int frame_samples) const {
  const auto begin = samples.begin() + static_cast<std::ptrdiff_t>(lead_in_frames * frame_samples);
  return {begin, begin + static_cast<std::ptrdiff_t>(output_samples)};
}

DialogueAudio ReadDialogueAudio(const std::string& path, int channel, double lead_in_s,
                                double tail_s, const codec::MimiConfig& config) {
  const base::Audio recording =
      audio::Resample(audio::ReadAudio(path, channel), config.sample_rate_hz);
  DialogueAudio dialogue;
  dialogue.lead_in_frames = std::llround(lead_in_s * config.frame_rate_hz);
  dialogue.recording_samples = static_cast<int64_t>(recording.samples.size());
  dialogue.output_samples =
      dialogue.recording_samples + std::llround(tail_s * config.sample_rate_hz);
  const int64_t lead_in = dialogue.lead_in_frames * config.frame_samples();
  std::vector<float> samples(static_cast<size_t>(lead_in + dialogue.output_samples), 0.0F);
  std::copy(recording.samples.begin(), recording.samples.end(),
            samples.begin() + static_cast<std::ptrdiff_t>(lead_in));
  dialogue.samples = audio::PadToFrames(std::move(samples), config.frame_samples());
  return dialogue;
}

DialogueResult RenderDialogue(Engine& engine, const DialogueAudio& audio,
                              const DialogueOptions& dialogue, Align align,
                              base::Progress& progress, const std::atomic<bool>& interrupt,
                              TraceRecorder* trace) {
  const auto frame_samples = static_cast<size_t>(engine.config().mimi.frame_samples());
  const size_t frames = audio.samples.size() / frame_samples;
  const int32_t pad = engine.config().lm.text_padding_id;
  const auto tap_of = [&](const char* phase) {
    return trace == nullptr ? nn::DebugTap{} : trace->Tap(phase);
  };

  DialogueResult result;
  auto clock = std::chrono::steady_clock::now();
  progress.Begin("system prompt", 0);
  result.prompt_steps = engine.Start(0, dialogue, tap_of("prompt"));
  progress.End();
  result.prompt_seconds = SecondsSince(clock);

  clock = std::chrono::steady_clock::now();
  progress.Begin("dialogue", static_cast<int64_t>(frames));
  const nn::DebugTap tap = tap_of("dialogue");
  const size_t shift = align == Align::kLive ? 1 : 0;
  const auto lead_in = static_cast<size_t>(audio.lead_in_frames);
  std::vector<float> agent(shift * frame_samples, 0.0F);
  std::vector<int32_t> text(shift, pad);
  for (size_t frame = 0; frame < frames; ++frame) {
    if (interrupt) {
      throw base::Error(
          base::ErrorCode::kInterrupted,
          fmt::format("interrupted after {} of {} frames; nothing was written", frame, frames));
    }
    const FrameInput row{
        .slot = 0, .pcm = std::span(audio.samples).subspan(frame * frame_samples, frame_samples)};
    FrameOutput output = engine.Step(std::span(&row, 1), tap)[0];
    output.pcm.resize(frame_samples, 0.0F);
    agent.insert(agent.end(), output.pcm.begin(), output.pcm.end());
    text.push_back(output.tokens ? output.tokens->front() : pad);
    if (frame >= lead_in) {
      result.tokens.push_back(output.tokens.value_or(
          lm::FrameTokens(static_cast<size_t>(engine.config().lm.streams()), lm::kUngenerated)));
    }
    progress.Update(static_cast<int64_t>(frame + 1));
  }
  progress.End();
  result.dialogue_seconds = SecondsSince(clock);

  const auto cut = [&](size_t begin) {
    const auto first = agent.begin() + static_cast<std::ptrdiff_t>(begin);
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(audio.output_samples));
  };
  result.agent = cut(lead_in * frame_samples);
  result.trace_pcm = cut((lead_in + shift) * frame_samples);
  const auto first_text = text.begin() + static_cast<std::ptrdiff_t>(lead_in);
  result.text.assign(first_text, first_text + static_cast<std::ptrdiff_t>(frames - lead_in));
  return result;
}

}  // namespace ppx::engine
