// apps/ppx_batch/dialogue.h: one dialogue of a batch, with everything settled.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/offline.h"
#include "script/dialogue_script.h"

namespace ppx::app {

// What a system prompt is made of, read from its files. Dialogues with the same voice and text
// share the object, and with it the computed prompt.
struct PromptSource {
  std::string text_prompt;
  std::vector<int32_t> text_tokens;
  std::string voice_path;            // empty: none
  std::string voice_sha256;          // of the file
  std::vector<float> voice_samples;  // of a recording, to be encoded
  engine::VoicePrompt saved_voice;   // or of a saved prompt
  int64_t steps = 0;
  std::vector<std::string> warnings;
};

// One agent: a slot of the engine. Two of them talk to each other in a dyad.
struct AgentSide {
  std::shared_ptr<const PromptSource> prompt;
  lm::SamplingOptions sampling{};
  uint64_t seed = 0;
};

// Names within the dialogue's folder; an empty one is not written.
struct OutputNames {
  std::string wav = "output.wav";
  std::string words = "output.json";
  std::string record = "run.json";
  std::string text{};
  std::string stereo{};
  std::string srt{};
  std::string vtt{};
  std::string ctm{};
  std::string textgrid{};
  // Of scripts: what the user said, when, and the annotation that ppx-eval reads.
  std::string user_wav{};
  std::string user_words{};  // of dyads: the other agent's
  std::string events{};
  std::string marks{};
};

struct BatchDialogue {
  std::string id;           // unique in the batch
  std::string random_name;  // random numbers depend on it and on the seed: variants share it
  std::string folder;       // relative to the output folder
  OutputNames names;
  std::vector<AgentSide> agents;  // one, or two in a dyad

  // A recording ...
  std::string audio_path;
  int channel = 0;
  double lead_in_s = 0;
  double tail_s = 0;
  // ... or a script.
  std::shared_ptr<const script::DialogueScript> script;
  std::string script_path;

  engine::Align align = engine::Align::kStream;
  bool float_samples = false;
  std::vector<std::string> links;  // files of a sample that are linked beside its outputs

  std::string key;                // of the plan
  int64_t frames = 0;             // at most, without the prompt
  nlohmann::ordered_json record;  // what run.json holds before the dialogue has run
  std::string error;              // what is wrong with it already; empty: nothing
  std::vector<std::string> warnings;
};

}  // namespace ppx::app
