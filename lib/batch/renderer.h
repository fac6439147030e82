// lib/batch/renderer.h: what the scheduler hands dialogues to: a device with slots. The scheduler
// knows no model; apps/ppx_batch implements this with an engine, tests with a few lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ppx::batch {

// A file of a finished dialogue, as it lies on disk.
struct WrittenFile {
  std::string path;  // relative to the output folder
  std::string sha256;
  int64_t bytes = 0;
};

// What a finished dialogue came to.
struct DialogueOutcome {
  std::vector<WrittenFile> files;
  double audio_s = 0;          // length of the dialogue
  std::string details = "{}";  // a JSON object that the journal keeps: warnings, clipped samples
};

// Writes the files of one finished dialogue, each atomically, and says what it wrote. Called once,
// on any thread, after the slot has been handed on: it owns all that it needs. Throws base::Error.
using WriteOutputs = std::function<DialogueOutcome()>;

// A dialogue's inputs, read and resampled; what is in it is the renderer's business.
struct LoadedDialogue {
  virtual ~LoadedDialogue() = default;
};

// Reads the inputs of the plan's dialogue `index`, on any thread, several at once. Throws
// base::Error where an input is bad: this dialogue fails, the others go on.
using LoadDialogue = std::function<std::unique_ptr<LoadedDialogue>(size_t index)>;

// One device and its slots. All calls come from one thread, the one that made it.
//
// Any of them may throw base::Error. kOutOfMemory: the scheduler makes a renderer of half the slots
// and begins its dialogues again. Other codes from `Start`: this dialogue fails. Other codes from
// `Step`: the batch ends, what was in flight is not done.
class Renderer {
 public:
  virtual ~Renderer() = default;

  virtual int slots() const = 0;

  // Begins a dialogue in free slots, as many as its plan asks for and each long enough for it;
  // slots[0] names it from then on.
  virtual void Start(std::span<const int> slots, size_t index,
                     std::unique_ptr<LoadedDialogue> inputs) = 0;

  // One frame of every dialogue that was started. slots[0] of those that have ended with it.
  virtual std::vector<int> Step() = 0;

  // Hands over a dialogue that has ended, or drops one that has not (`Drop`); its slots are free.
  virtual WriteOutputs Finish(int slot) = 0;
  virtual void Drop(int slot) = 0;
};

// Makes a renderer with a slot for each of `frames`, the most that a dialogue there takes (see
// PlannedDialogue), on the thread that will use it.
using MakeRenderer = std::function<std::unique_ptr<Renderer>(const std::vector<int64_t>& frames)>;

}  // namespace ppx::batch
