// lib/engine/offline.h: one recording through the model as if live, frame by frame.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "engine/engine.h"
#include "engine/trace.h"

namespace ppx::engine {

// The user's side of a dialogue, at the codec's rate.
struct DialogueAudio {
  std::vector<float> samples;  // lead-in, recording, tail; whole frames
  int64_t lead_in_frames = 0;
  int64_t output_samples = 0;  // recording and tail: what the output is cut to
  int64_t recording_samples = 0;

  // Recording and tail without the lead-in or the padding: what the output is aligned with.
  std::vector<float> AlignedUser(int frame_samples) const;
};

// Reads one channel (0-based) of a recording, resamples it, and puts `lead_in_s` seconds of silence
// before it (rounded to whole frames, so that frames begin where they would without) and `tail_s`
// after.
DialogueAudio ReadDialogueAudio(const std::string& path, int channel, double lead_in_s,
                                double tail_s, const codec::MimiConfig& config);

// When an answer is placed on the time line.
enum class Align {
  kStream,  // the answer to input frame i starts where frame i starts: the reference's way
  kLive     // one frame later, when frame i has been heard to its end
};

struct DialogueResult {
  // All from the end of the lead-in on.
  std::vector<float> agent;      // aligned as asked; DialogueAudio::output_samples long
  std::vector<int32_t> text;     // [frames], aligned as asked; PAD where a step had no output
  std::vector<float> trace_pcm;  // as `agent`, in stream alignment
  std::vector<lm::FrameTokens> tokens;  // [frames][1 + n_q], in stream alignment
  int64_t prompt_steps = 0;
  double prompt_seconds = 0;    // wall time of the system prompt
  double dialogue_seconds = 0;  // wall time of the frames
};

// Runs the dialogue on slot 0 of the engine. `interrupt`, once true, ends it with an error of code
// kInterrupted. `trace` may be null.
DialogueResult RenderDialogue(Engine& engine, const DialogueAudio& audio,
                              const DialogueOptions& dialogue, Align align,
                              base::Progress& progress, const std::atomic<bool>& interrupt,
                              TraceRecorder* trace);

}  // namespace ppx::engine
