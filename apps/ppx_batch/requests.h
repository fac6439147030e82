// apps/ppx_batch/requests.h: what the command line asks for -> the dialogues of a batch.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "batch/plan.h"
#include "hub/model_files.h"
#include "ppx_batch/dialogue.h"
#include "ppx_batch/options.h"
#include "script/speech_synthesiser.h"
#include "text/tokenizer.h"

namespace ppx::app {

// The model as the keys of dialogues know it.
struct ModelIdentity {
  hub::ModelFiles files;
  std::string moshi_sha256;
  std::string mimi_sha256;
  std::string tokenizer_sha256;
  std::string config_sha256;  // empty: the released sizes
  std::string device;         // "cpu" or "cuda"
};

struct Batch {
  std::string output_folder;
  std::vector<BatchDialogue> dialogues;
  batch::Plan plan;  // as `dialogues`
  // Files of the suite that scoring needs beside the samples, relative to its root: linked into a
  // mirror.
  std::vector<std::string> shared_files;
  std::vector<std::string> notes;  // for the user: absent tasks
};

// `synthesiser` may be null where no script has a line to be spoken.
//
// Reads what the options name: manifest, suite folder or scripts, personas, voices; hashes inputs.
// What is wrong with one dialogue's own recording or script stands in its `error`; what is wrong
// with the request as a whole throws base::Error. `given` tells which options stood on the command
// line or in the run configuration.
Batch MakeBatch(const RawOptions& raw, const std::function<bool(const char*)>& given,
                const ModelIdentity& model, const engine::ModelConfig& config,
                const text::Tokenizer& tokenizer, const script::SpeechSynthesiser* synthesiser,
                const std::atomic<bool>& interrupt);

}  // namespace ppx::app
