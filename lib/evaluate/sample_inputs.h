// lib/evaluate/sample_inputs.h: the files of one sample, read and checked.
#pragma once

#include <atomic>
#include <compare>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "annotate/asr_command.h"
#include "annotate/transcript.h"
#include "evaluate/audio_facts.h"
#include "suite/suite.h"

namespace ppx::evaluate {

enum class TranscriptSource {
  kFiles,  // the first file of SampleFiles::words that is there
  kAsr,    // a program that the user names
  kNone    // none: only what speech events tell is scored
};

struct TranscriptOptions {
  TranscriptSource source = TranscriptSource::kFiles;
  // One of SampleFiles::words, where there are several; empty: the first that is there.
  std::string file;
  const annotate::AsrCommand* asr = nullptr;  // for kAsr
  // Leaves what the program heard as output.json beside the sample, where there is none yet, so
  // that the benchmark's own scripts can run on the folder.
  bool write = false;
};

// What an annotation says about one sample.
struct Marks {
  // Start and end in seconds of the event: a pause, a turn change, an interruption, an overlap.
  std::optional<base::Segment> event;
  std::map<std::string, std::string> texts;  // "context", "interrupt", "role_prompt", "question"
  std::optional<int64_t> question_index;     // ServiceDuplexBench: 0 to 6
};

// How ppx-offline or ppx-batch made the agent's file, from the run.json beside it.
struct MadeWith {
  double lead_in_s = 0;
  double tail_s = 0;
  std::string alignment;  // "stream" or "live"

  auto operator<=>(const MadeWith&) const = default;
};

struct SampleInputs {
  AudioFacts agent;
  std::optional<AudioFacts> user;
  std::optional<std::vector<base::Chunk>> words;  // no value for TranscriptSource::kNone
  std::string words_file;  // name of the file they came from, "asr" for a program
  Marks marks;
  std::optional<MadeWith> made_with;
  // The agent's codec tokens, [frames, 8], from a trace of ppx-offline; empty where there is none.
  std::vector<int32_t> tokens;
};

// The words as one text, a blank between them.
std::string Joined(const std::vector<base::Chunk>& words);

// Reads everything that the task needs. Throws base::Error (kBadInput) with one line that names the
// file for what is missing or damaged: JSON that does not parse, times that are reversed, negative
// or not finite, marks outside the file, audio that cannot be read, a file whose length says that
// its sample rate is wrong.
SampleInputs ReadSample(const suite::Task& task, const std::string& folder,
                        const AudioAnalyst& analyst, const TranscriptOptions& transcripts,
                        const std::atomic<bool>* cancel);

}  // namespace ppx::evaluate
