#include "evaluate/sample_inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/small_file.h"
#include "weights/safetensors.h"

namespace ppx::evaluate {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using suite::TaskKind;

constexpr size_t kMaxJsonBytes = size_t{16} << 20;
constexpr const char* kBenchmarkWords = "output.json";
constexpr int64_t kCodebooks = 8;
constexpr const char* kRunRecord = "run.json";
// Whose records say, under the same keys, how a dialogue was made.
constexpr std::array<std::string_view, 2> kRenderers{"ppx-offline", "ppx-batch"};

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool NeedsMark(TaskKind kind) {
  return kind == TaskKind::kTurnTaking || kind == TaskKind::kInterruption ||
         kind == TaskKind::kOverlap;
}

Json ReadJson(const std::string& path) {
  const std::string text = base::ReadSmallFile(path, kMaxJsonBytes, "JSON");
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    base::ThrowBadInput(fmt::format("{}: not valid JSON ({})", path, error.what()));
  }
}

base::Segment CheckedEvent(std::optional<double> start_s, std::optional<double> end_s,
                           const std::string& path) {
  if (!start_s || !end_s || !std::isfinite(*start_s) || !std::isfinite(*end_s)) {
    base::ThrowBadInput(fmt::format("{}: a time of the event is missing", path));
  }
  if (*start_s < 0 || *end_s < *start_s) {
    base::ThrowBadInput(fmt::format("{}: the event's times are reversed or negative: {} to {} s",
                                    path, *start_s, *end_s));
  }
  return {*start_s, *end_s};
}

std::string Text(const Json& json, const char* key, const std::string& path) {
  const auto found = json.find(key);
  if (found == json.end()) return "";
  if (!found->is_string()) base::ThrowBadInput(fmt::format("{}: '{}' must be a text", path, key));
  return found->get<std::string>();
}

std::optional<double> Number(const Json& json) {
  return json.is_number() ? std::optional(json.get<double>()) : std::nullopt;
}

// {context_text, current_turn_text, timestamps: [start, end]}
Marks ReadOverlap(const std::string& path) {
  const Json json = ReadJson(path);
  const auto times = json.is_object() ? json.find("timestamps") : json.end();
  if (!json.is_object() || times == json.end() || !times->is_array() || times->size() != 2) {
    base::ThrowBadInput(
        fmt::format("{}: expected an object with 'timestamps': [start, end]", path));
  }
  Marks marks;
  marks.event = CheckedEvent(Number(times->at(0)), Number(times->at(1)), path);
  marks.texts["context"] = Text(json, "context_text", path);
  marks.texts["interrupt"] = Text(json, "current_turn_text", path);
  return marks;
}

// {prompt_text, question_text, question_index, speaker_index}
Marks ReadQuestion(const std::string& path) {
  const Json json = ReadJson(path);
  if (!json.is_object()) base::ThrowBadInput(path + ": expected an object");
  Marks marks;
  marks.texts["role_prompt"] = Text(json, "prompt_text", path);
  marks.texts["question"] = Text(json, "question_text", path);
  const auto index = json.find("question_index");
  constexpr int64_t kQuestions = 7;
  if (index == json.end() || !index->is_number_integer() || index->get<int64_t>() < 0 ||
      index->get<int64_t>() >= kQuestions) {
    base::ThrowBadInput(path + ": 'question_index' must be 0 to 6");
  }
  marks.question_index = index->get<int64_t>();
  return marks;
}

// No value where there is no record, or one of another program.
std::optional<MadeWith> ReadRunRecord(const std::string& path) {
  if (!Exists(path)) return std::nullopt;
  const Json record = ReadJson(path);
  const Json named = record.is_object() ? record.value("program", Json()) : Json();
  const std::string program = named.is_string() ? named.get<std::string>() : "";
  if (std::find(kRenderers.begin(), kRenderers.end(), program) == kRenderers.end()) {
    return std::nullopt;
  }
  try {
    const Json& options = record.at("options");
    return MadeWith{options.value("lead-in", 0.0), options.value("tail", 0.0),
                    options.value("align", "stream")};
  } catch (const Json::exception& error) {
    base::ThrowBadInput(fmt::format("{}: no record of {} ({})", path, program, error.what()));
  }
}

// Columns of a trace: the text stream, the agent's codebooks, the user's.
std::vector<int32_t> ReadTokens(const std::string& path) {
  if (!Exists(path)) return {};
  const auto file = weights::SafetensorsFile::Open(path);
  const weights::TensorView* tokens = file->Find("tokens");
  constexpr int64_t kStreams = 1 + 2 * kCodebooks;
  if (tokens == nullptr || tokens->dtype != weights::DType::kI32 || tokens->shape.size() != 2 ||
      tokens->shape[1] != kStreams) {
    base::ThrowBadInput(fmt::format(
        "{}: no trace of ppx-offline: expected 'tokens' int32 [frames, {}]", path, kStreams));
  }
  std::vector<int32_t> agent;
  for (int64_t frame = 0; frame < tokens->shape[0]; ++frame) {
    std::array<int32_t, kCodebooks> row{};
    const size_t first = static_cast<size_t>(frame * kStreams + 1) * sizeof(int32_t);
    std::memcpy(row.data(), tokens->data.data() + first, sizeof(row));
    agent.insert(agent.end(), row.begin(), row.end());
  }
  return agent;
}

Marks ReadMarks(TaskKind kind, const std::string& path) {
  if (kind == TaskKind::kOverlap) return ReadOverlap(path);
  if (kind == TaskKind::kServiceQuestion) return ReadQuestion(path);
  const auto annotations = annotate::ReadAnnotations(path);
  Marks marks;
  if (annotations.empty()) {
    if (NeedsMark(kind)) base::ThrowBadInput(path + ": no event in it");
    return marks;
  }
  const annotate::Annotation& first = annotations.front();
  marks.event = CheckedEvent(first.start_s, first.end_s, path);
  marks.texts["context"] = first.context;
  marks.texts["interrupt"] = first.interrupt;
  return marks;
}

// A header with the wrong rate stretches a file by the ratio of two usual rates.
void CheckRate(const AudioFacts& user, const AudioFacts& agent, const std::string& agent_path) {
  constexpr std::array kUsualHz{8000, 16000, 22050, 24000, 32000, 44100, 48000};
  constexpr double kClose = 0.002;
  constexpr double kShortS = 2.0;
  const double ratio = agent.duration_s() / user.duration_s();
  if (std::min(agent.duration_s(), user.duration_s()) < kShortS) return;
  for (const int rate_hz : kUsualHz) {
    const double wrong = static_cast<double>(rate_hz) / agent.rate_hz;
    if (rate_hz == agent.rate_hz || std::abs(ratio / wrong - 1) > kClose) continue;
    base::ThrowBadInput(fmt::format(
        "{}: lasts {:.3f} s beside {:.3f} s of the user's: its header says {} Hz, are the samples "
        "at {} Hz?",
        agent_path, agent.duration_s(), user.duration_s(), agent.rate_hz, rate_hz));
  }
}

// The takeover rule needs every time but the last end; the benchmark's script fails without. Its
// backchannel rule passes over words without times.
std::vector<base::Chunk> Checked(annotate::Transcript transcript, TaskKind kind,
                                 const std::string& source) {
  const bool may_lack_times = kind == TaskKind::kBackchannel;
  if (may_lack_times) {
    annotate::Transcript timed = transcript;
    std::erase_if(timed.chunks, [](const base::Chunk& word) { return !word.start_s; });
    if (const auto problem = annotate::Problem(timed)) {
      base::ThrowBadInput(fmt::format("{}: {}", source, *problem));
    }
    return std::move(transcript.chunks);
  }
  if (const auto problem = annotate::Problem(transcript)) {
    base::ThrowBadInput(fmt::format("{}: {}", source, *problem));
  }
  for (size_t i = 0; i + 1 < transcript.chunks.size(); ++i) {
    if (transcript.chunks[i].end_s) continue;
    base::ThrowBadInput(fmt::format("{}: chunk {} ('{}') has no end, and is not the last", source,
                                    i + 1, transcript.chunks[i].text));
  }
  return std::move(transcript.chunks);
}

// The benchmark transcribes only what follows the end of an interruption; a whole transcript is cut
// to that.
std::vector<base::Chunk> After(std::vector<base::Chunk> words, double end_s) {
  std::erase_if(words,
                [&](const base::Chunk& word) { return word.start_s && *word.start_s < end_s; });
  return words;
}

void AddWords(const suite::Task& task, const fs::path& folder, const TranscriptOptions& options,
              const std::atomic<bool>* cancel, SampleInputs& inputs) {
  const bool cut = task.kind == TaskKind::kInterruption && inputs.marks.event;
  if (options.source == TranscriptSource::kNone) return;
  if (options.source == TranscriptSource::kAsr) {
    const std::string path = (folder / task.files.agent).string();
    inputs.words = Checked(options.asr->Transcribe(path, cancel), task.kind, path + " (ASR)");
    inputs.words_file = "asr";
    if (cut) inputs.words = After(*std::move(inputs.words), inputs.marks.event->end_s);
    const fs::path written = folder / kBenchmarkWords;
    if (options.write && !Exists(written)) {
      annotate::WriteTranscript(written.string(), {Joined(*inputs.words), *inputs.words});
    }
    return;
  }
  const auto names = options.file.empty() ? task.files.words : std::vector{options.file};
  for (const std::string& name : names) {
    if (!Exists(folder / name)) continue;
    const std::string path = (folder / name).string();
    inputs.words = Checked(annotate::ReadTranscript(path), task.kind, path);
    inputs.words_file = name;
    // The benchmark's own output.json is cut already; the text stream of a model is not.
    if (cut && (inputs.made_with || name != kBenchmarkWords)) {
      inputs.words = After(*std::move(inputs.words), inputs.marks.event->end_s);
    }
    return;
  }
  if (names.empty()) return;
  base::ThrowBadInput(fmt::format(
      "{}: no transcript ({}); make one with --asr, or score without by --transcripts none",
      folder.string(), fmt::join(names, ", ")));
}

}  // namespace

std::string Joined(const std::vector<base::Chunk>& words) {
  std::string text;
  for (const base::Chunk& word : words) {
    if (!text.empty() && !word.text.starts_with(' ')) text += ' ';
    text += word.text;
  }
  return text;
}

SampleInputs ReadSample(const suite::Task& task, const std::string& folder_name,
                        const AudioAnalyst& analyst, const TranscriptOptions& transcripts,
                        const std::atomic<bool>* cancel) {
  const fs::path folder(folder_name);
  const suite::SampleFiles& files = task.files;
  SampleInputs inputs;
  if (!files.marks.empty() && (NeedsMark(task.kind) || Exists(folder / files.marks) ||
                               task.kind == TaskKind::kServiceQuestion)) {
    inputs.marks = ReadMarks(task.kind, (folder / files.marks).string());
  }
  const std::string agent_path = (folder / files.agent).string();
  inputs.agent = analyst.Analyse(agent_path, files.agent_channel,
                                 /*benchmark=*/task.kind == TaskKind::kBackchannel);
  if (!files.user.empty()) {
    inputs.user = analyst.Analyse((folder / files.user).string(), files.user_channel);
    CheckRate(*inputs.user, inputs.agent, agent_path);
    const auto& event = inputs.marks.event;
    if (event && event->start_s > inputs.user->duration_s()) {
      base::ThrowBadInput(fmt::format("{}: the event at {} s lies beyond the end of {} ({:.3f} s)",
                                      (folder / files.marks).string(), event->start_s, files.user,
                                      inputs.user->duration_s()));
    }
  }
  inputs.made_with = ReadRunRecord((folder / kRunRecord).string());
  if (!files.tokens.empty()) inputs.tokens = ReadTokens((folder / files.tokens).string());
  AddWords(task, folder, transcripts, cancel, inputs);
  return inputs;
}

}  // namespace ppx::evaluate
