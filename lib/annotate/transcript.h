// lib/annotate/transcript.h: words with times, as FullDuplexBench's folders hold them.
//
// Files are read strictly by type and leniently by value: a text where a number belongs is an error
// that names the word, while null, negative and reversed times are kept, because some scores are
// defined for them. `Problem` finds these. Keys that are not known are ignored. NaN and Infinity
// are not JSON and make the file unreadable, as do bytes that are not UTF-8.
//
// Every reader throws base::Error (kBadInput): "PATH: what, and where in the file".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/timeline.h"

namespace ppx::annotate {

// Of one channel.
struct Transcript {
  std::string text;
  std::vector<base::Chunk> chunks;  // in the order of the file, whatever their times
};

// output.json, and words.json of ppx-offline: {"text": string, "chunks": [{"text": string,
// "timestamp": [start | null, end | null]}]}. Without "text", the chunks' texts, without the blanks
// around them, joined by one blank.
Transcript ReadTranscript(const std::string& path);
// The same from memory; `name` stands for the path in messages.
Transcript ParseTranscript(std::string_view json, const std::string& name);

// The first chunk whose times cannot be right: "chunk 3 ('so'): ends at 1.2 s, before its start at
// 1.5 s"; no start; negative; not finite. A missing end is none: the last word of a recording often
// has none. Nor are chunks that overlap or are out of order. Chunks are counted from 1.
std::optional<std::string> Problem(const Transcript& transcript);

// The layout of ReadTranscript, "text" always included; numbers are written so that reading gives
// the same doubles. Bytes that are not UTF-8 become U+FFFD. Throws base::Error (kInternal) for a
// time that is not finite, which JSON cannot say.
std::string ToJson(const Transcript& transcript);
// Through base::AtomicFile; throws as it does.
void WriteTranscript(const std::string& path, const Transcript& transcript);

// An event that the benchmark marked: a pause, a turn change, an interruption.
struct Annotation {
  std::string text;       // "[PAUSE]", "[TURN-TAKING]"; often missing
  std::string context;    // interruption: what the user had asked before
  std::string interrupt;  // interruption: what the user says
  std::optional<double> start_s;
  std::optional<double> end_s;
};

// pause.json, turn_taking.json, interrupt.json: [{"timestamp": [start | null, end | null], "text"?,
// "context"?, "interrupt"?}, ...]. A missing text is empty.
std::vector<Annotation> ReadAnnotations(const std::string& path);

}  // namespace ppx::annotate
