#include "text/transcript_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "text/utf8.h"

namespace ppx::text {
namespace {

constexpr size_t kCueLineChars = 42;
constexpr size_t kCueLines = 2;
constexpr int64_t kCueMaxMs = 7000;
constexpr int64_t kCueGapMs = 800;

// Keeps the products below in range, and NaN out.
int64_t Scaled(double seconds, double units_per_second) {
  constexpr double kLongest = 1e9;
  if (!(seconds > 0)) return 0;
  return std::llround(std::min(seconds, kLongest) * units_per_second);
}

int64_t Milliseconds(double seconds) { return Scaled(seconds, 1e3); }
int64_t Microseconds(double seconds) { return Scaled(seconds, 1e6); }

std::string OneLine(std::string_view raw) {
  const std::string valid = ReplaceInvalidUtf8(raw);
  std::string line;
  for (const char c : StripWhitespace(valid)) {
    const auto code = static_cast<unsigned char>(c);
    const char shown = code <= 0x20 || code == 0x7F ? ' ' : c;
    if (shown != ' ' || (!line.empty() && line.back() != ' ')) line += shown;
  }
  if (line.ends_with(' ')) line.pop_back();
  return line;
}

// Words as the formats write them: clean text, no empty ones, ends not before starts.
std::vector<base::TimedWord> Clean(const std::vector<base::TimedWord>& words) {
  std::vector<base::TimedWord> clean;
  for (const base::TimedWord& word : words) {
    std::string text = OneLine(word.text);
    if (text.empty()) continue;
    clean.push_back({std::move(text), word.start_s, std::max(word.start_s, word.end_s)});
  }
  return clean;
}

// A subtitle on screen.
struct Cue {
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  std::vector<std::string> lines;

  // False where the word finds no room.
  bool AddText(const std::string& word) {
    if (CodePointCount(lines.back()) + 1 + CodePointCount(word) <= kCueLineChars) {
      lines.back() += ' ' + word;
      return true;
    }
    if (lines.size() == kCueLines) return false;
    lines.push_back(word);
    return true;
  }
};

std::vector<Cue> MakeCues(const std::vector<base::TimedWord>& words) {
  std::vector<Cue> cues;
  for (const base::TimedWord& word : Clean(words)) {
    const int64_t start_ms = Milliseconds(word.start_s);
    const int64_t end_ms = Milliseconds(word.end_s);
    if (!cues.empty() && start_ms - cues.back().end_ms <= kCueGapMs &&
        end_ms - cues.back().start_ms <= kCueMaxMs && cues.back().AddText(word.text)) {
      cues.back().end_ms = std::max(cues.back().end_ms, end_ms);
    } else {
      cues.push_back({start_ms, end_ms, {word.text}});
    }
  }
  // WebVTT demands that a cue ends after it starts.
  for (Cue& cue : cues) cue.end_ms = std::max(cue.end_ms, cue.start_ms + 1);
  return cues;
}

std::string ClockTime(int64_t ms, char decimal_mark) {
  return fmt::format("{:02}:{:02}:{:02}{}{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60,
                     decimal_mark, ms % 1000);
}

std::string CtmField(std::string_view raw) {
  std::string field = OneLine(raw);
  std::replace(field.begin(), field.end(), ' ', '_');
  if (field.starts_with(';')) field.front() = '_';
  return field;
}

struct Interval {
  int64_t start_us = 0;
  int64_t end_us = 0;
  std::string text;
};

std::vector<Interval> FillTier(const std::vector<base::TimedWord>& words, int64_t duration_us) {
  std::vector<Interval> tier;
  int64_t filled_us = 0;
  for (const base::TimedWord& word : Clean(words)) {
    if (filled_us == duration_us) {
      tier.back().text += ' ' + word.text;
      continue;
    }
    const int64_t start_us = std::clamp(Microseconds(word.start_s), filled_us, duration_us - 1);
    const int64_t end_us = std::clamp(Microseconds(word.end_s), start_us + 1, duration_us);
    if (start_us > filled_us) tier.push_back({filled_us, start_us, ""});
    tier.push_back({start_us, end_us, word.text});
    filled_us = end_us;
  }
  if (filled_us < duration_us) tier.push_back({filled_us, duration_us, ""});
  return tier;
}

std::string Seconds(int64_t us) { return fmt::format("{}", static_cast<double>(us) / 1e6); }

struct FormatName {
  TranscriptFormat format;
  std::string_view name;
  std::string_view extension;
};

constexpr std::array<FormatName, 4> kFormats = {{
    {TranscriptFormat::kSrt, "srt", ".srt"},
    {TranscriptFormat::kWebVtt, "vtt", ".vtt"},
    {TranscriptFormat::kCtm, "ctm", ".ctm"},
    {TranscriptFormat::kTextGrid, "textgrid", ".TextGrid"},
}};

}  // namespace

std::string ToFrameTextJson(const std::vector<std::string>& frame_strings) {
  using nlohmann::json;
  std::string list = "[";
  for (const std::string& text : frame_strings) {
    if (list.size() > 1) list += ", ";
    list += json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  }
  return list + "]";
}

std::string ToBenchmarkJson(const std::vector<base::TimedWord>& words) {
  std::string text;
  auto chunks = nlohmann::ordered_json::array();
  for (const base::TimedWord& word : Clean(words)) {
    if (!text.empty()) text += ' ';
    text += word.text;
    const auto seconds = [](double time_s) {
      return static_cast<double>(Milliseconds(time_s)) / 1e3;
    };
    nlohmann::ordered_json chunk;
    chunk["text"] = word.text;
    chunk["timestamp"] = {seconds(word.start_s), seconds(word.end_s)};
    chunks.push_back(std::move(chunk));
  }
  nlohmann::ordered_json transcript;
  transcript["text"] = std::move(text);
  transcript["chunks"] = std::move(chunks);
  return transcript.dump(4) + "\n";
}

std::string ToSrt(const std::vector<base::TimedWord>& words) {
  std::string file;
  int number = 0;
  for (const Cue& cue : MakeCues(words)) {
    fmt::format_to(std::back_inserter(file), "{}\n{} --> {}\n", ++number,
                   ClockTime(cue.start_ms, ','), ClockTime(cue.end_ms, ','));
    for (const std::string& line : cue.lines) file += ReplaceAll(line, "-->", "\u2192") + '\n';
    file += '\n';
  }
  return file;
}

std::string ToWebVtt(const std::vector<base::TimedWord>& words) {
  std::string file = "WEBVTT\n\n";
  for (const Cue& cue : MakeCues(words)) {
    fmt::format_to(std::back_inserter(file), "{} --> {}\n", ClockTime(cue.start_ms, '.'),
                   ClockTime(cue.end_ms, '.'));
    for (const std::string& line : cue.lines) {
      const std::string ampersands = ReplaceAll(line, "&", "&amp;");
      file += ReplaceAll(ReplaceAll(ampersands, "<", "&lt;"), ">", "&gt;") + '\n';
    }
    file += '\n';
  }
  return file;
}

std::string ToCtm(const std::vector<base::TimedWord>& words, std::string_view recording_id,
                  std::string_view channel) {
  const std::string recording_field = CtmField(recording_id);
  const std::string channel_field = CtmField(channel);
  if (recording_field.empty() || channel_field.empty()) {
    base::ThrowUsage("a CTM transcript needs the names of its recording and channel");
  }
  std::string file;
  for (const base::TimedWord& word : Clean(words)) {
    const int64_t start_ms = Milliseconds(word.start_s);
    const int64_t duration_ms = Milliseconds(word.end_s) - start_ms;
    fmt::format_to(std::back_inserter(file), "{} {} {}.{:03} {}.{:03} {}\n", recording_field,
                   channel_field, start_ms / 1000, start_ms % 1000, duration_ms / 1000,
                   duration_ms % 1000, CtmField(word.text));
  }
  return file;
}

std::string ToTextGrid(const std::vector<base::TimedWord>& words, double duration_s) {
  const int64_t duration_us = Microseconds(duration_s);
  if (duration_us <= 0) {
    base::ThrowBadInput("a TextGrid needs a recording that is longer than 0 s");
  }
  const std::vector<Interval> tier = FillTier(words, duration_us);
  const std::string end = Seconds(duration_us);
  std::string file = fmt::format(
      "File type = \"ooTextFile\"\n"
      "Object class = \"TextGrid\"\n"
      "\n"
      "xmin = 0\n"
      "xmax = {}\n"
      "tiers? <exists>\n"
      "size = 1\n"
      "item []:\n"
      "    item [1]:\n"
      "        class = \"IntervalTier\"\n"
      "        name = \"words\"\n"
      "        xmin = 0\n"
      "        xmax = {}\n"
      "        intervals: size = {}\n",
      end, end, tier.size());
  int number = 0;
  for (const Interval& interval : tier) {
    fmt::format_to(std::back_inserter(file),
                   "        intervals [{}]:\n"
                   "            xmin = {}\n"
                   "            xmax = {}\n"
                   "            text = \"{}\"\n",
                   ++number, Seconds(interval.start_us), Seconds(interval.end_us),
                   ReplaceAll(interval.text, "\"", "\"\""));
  }
  return file;
}

TranscriptFormat ParseTranscriptFormat(std::string_view name) {
  for (const FormatName& known : kFormats) {
    if (known.name == name) return known.format;
  }
  base::ThrowUsage(
      fmt::format("unknown transcript format '{}'; use srt, vtt, ctm or textgrid", name));
}

std::string_view FileExtension(TranscriptFormat format) {
  for (const FormatName& known : kFormats) {
    if (known.format == format) return known.extension;
  }
  base::ThrowInternal("a transcript format without an extension");
}

std::string FormatTranscript(TranscriptFormat format, const std::vector<base::TimedWord>& words,
                             const TranscriptContext& context) {
  switch (format) {
    case TranscriptFormat::kSrt:
      return ToSrt(words);
    case TranscriptFormat::kWebVtt:
      return ToWebVtt(words);
    case TranscriptFormat::kCtm:
      return ToCtm(words, context.recording_id, context.channel);
    case TranscriptFormat::kTextGrid:
      return ToTextGrid(words, context.duration_s);
  }
  base::ThrowInternal("a transcript format without a writer");
}

}  // namespace ppx::text
