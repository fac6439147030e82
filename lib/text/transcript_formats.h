// lib/text/transcript_formats.h: words with times -> the bytes of a transcript file.
//
// Every function wants words in the order of their starts, as TimedWords gives them. Whitespace
// around a word is dropped and whitespace and control characters within it become one space; words
// with nothing else in them are left out; bytes that are not UTF-8 become U+FFFD. Times below 0
// count as 0, and an end before its start as the start. Nothing here opens a file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/timeline.h"

namespace ppx::text {

// The text list of the published offline script, byte for byte: a JSON list of one string a frame
// (see FrameStrings), on one line without a newline.
std::string ToFrameTextJson(const std::vector<std::string>& frame_strings);

// FullDuplexBench's output.json: {"text": all words, "chunks": [{"text", "timestamp": [start,
// end]}]}, seconds rounded to milliseconds.
std::string ToBenchmarkJson(const std::vector<base::TimedWord>& words);

// SubRip and WebVTT subtitles. Words are grouped into cues of at most two lines of 42 characters
// and of at most 7 s; a pause of more than 0.8 s begins a new cue. One word longer than that has
// its own. SubRip knows no escapes: "-->" in a word is written U+2192, everything else as it is.
std::string ToSrt(const std::vector<base::TimedWord>& words);
std::string ToWebVtt(const std::vector<base::TimedWord>& words);

// NIST's CTM: "recording channel start duration word" a line, seconds with three decimals. A field
// cannot hold a space or begin with ';': both are written '_'.
// Throws base::Error(kUsage) for an empty recording or channel.
std::string ToCtm(const std::vector<base::TimedWord>& words, std::string_view recording_id,
                  std::string_view channel);

// Praat's TextGrid, long text form: one interval tier "words" from 0 to `duration_s` without holes,
// an interval of empty text wherever there is no word. A word that overlaps the one before begins
// at its end, and none reaches beyond the duration; words that would have no time left are added to
// the last interval's text. Times are rounded to microseconds. Throws base::Error(kBadInput) if
// `duration_s` is not above 0: Praat reads no empty tier.
std::string ToTextGrid(const std::vector<base::TimedWord>& words, double duration_s);

enum class TranscriptFormat { kSrt, kWebVtt, kCtm, kTextGrid };

// "srt", "vtt", "ctm" or "textgrid"; throws base::Error(kUsage) for anything else.
TranscriptFormat ParseTranscriptFormat(std::string_view name);

// What a file of the format is called at its end: ".srt", ".vtt", ".ctm", ".TextGrid".
std::string_view FileExtension(TranscriptFormat format);

// What some formats say beside the words.
struct TranscriptContext {
  std::string recording_id;   // CTM
  std::string channel = "1";  // CTM
  double duration_s = 0;      // TextGrid
};

std::string FormatTranscript(TranscriptFormat format, const std::vector<base::TimedWord>& words,
                             const TranscriptContext& context);

}  // namespace ppx::text
