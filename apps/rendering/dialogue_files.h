// apps/rendering/dialogue_files.h: a finished dialogue -> the files that were asked for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/tokenizer.h"

namespace ppx::app {

// Paths; an empty one is not written.
struct DialoguePaths {
  std::string wav;
  std::string text;
  std::string words;
  std::string stereo;
  std::string srt;
  std::string vtt;
  std::string ctm;
  std::string textgrid;
};

struct FinishedDialogue {
  std::span<const float> user;    // as `agent`
  std::span<const float> agent;   // at the codec's rate
  std::span<const int32_t> text;  // [frames]
  std::string name;               // of the recording, for formats that name it
};

struct WrittenAudio {
  int64_t clipped_samples = 0;
  double peak = 0;
};

// Each atomically. `float_samples`: WAVs in float32, not in 16 bits.
WrittenAudio WriteDialogue(const DialoguePaths& paths, const FinishedDialogue& dialogue,
                           const engine::ModelConfig& config, const text::Tokenizer& tokenizer,
                           bool float_samples);

}  // namespace ppx::app
