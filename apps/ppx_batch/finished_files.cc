#include "ppx_batch/finished_files.h"

#include <fmt/format.h>

#include <filesystem>
#include <span>

#include "audio/wav_writer.h"
#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "ppx_batch/engine_renderer.h"
#include "rendering/dialogue_files.h"
#include "text/text_track.h"
#include "text/transcript_formats.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

}  // namespace

void Link(const fs::path& file, const fs::path& link) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return;
  fs::create_directories(link.parent_path(), error);
  fs::create_symlink(fs::canonical(file, error), link, error);
  if (error && error != std::errc::file_exists) {
    base::ThrowResource(fmt::format("{}: cannot be linked to {}: {}", link.string(), file.string(),
                                    error.message()));
  }
}

std::vector<std::string> OutputPaths(const BatchDialogue& dialogue) {
  const OutputNames& names = dialogue.names;
  std::vector<std::string> paths;
  const fs::path folder = dialogue.folder;
  for (const std::string* name : {&names.wav, &names.words, &names.text, &names.stereo, &names.srt,
                                  &names.vtt, &names.ctm, &names.textgrid, &names.user_wav,
                                  &names.user_words, &names.events, &names.marks, &names.record}) {
    if (!name->empty()) paths.push_back((folder / *name).string());
  }
  return paths;
}

batch::DialogueOutcome WriteFinished(const FinishedBatchDialogue& finished,
                                     const RenderContext& context) {
  const BatchDialogue& dialogue = *finished.dialogue;
  const OutputNames& names = dialogue.names;
  const engine::ModelConfig& config = *context.config;
  const fs::path folder = fs::path(context.output_folder) / dialogue.folder;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    base::ThrowResource(fmt::format("{}: cannot be made: {}", folder.string(), error.message()));
  }
  const auto at = [&](const std::string& name) {
    return name.empty() ? std::string() : (folder / name).string();
  };
  const WrittenAudio written = WriteDialogue({.wav = at(names.wav),
                                              .text = at(names.text),
                                              .words = at(names.words),
                                              .stereo = at(names.stereo),
                                              .srt = at(names.srt),
                                              .vtt = at(names.vtt),
                                              .ctm = at(names.ctm),
                                              .textgrid = at(names.textgrid)},
                                             {.user = finished.user,
                                              .agent = finished.agent,
                                              .text = finished.text,
                                              .name = fs::path(dialogue.id).filename().string()},
                                             config, *context.tokenizer, dialogue.float_samples);
  if (!names.user_wav.empty()) {
    const auto format =
        dialogue.float_samples ? audio::SampleFormat::kFloat32 : audio::SampleFormat::kPcm16;
    audio::WriteWav(at(names.user_wav), {finished.user}, config.mimi.sample_rate_hz, format);
  }
  if (!names.user_words.empty()) {
    // What b says in a frame is heard by a in the next.
    const auto words =
        text::TimedWords(finished.other_text, *context.tokenizer, config.mimi.frame_s(),
                         config.mimi.frame_s(), {.pad = config.lm.text_padding_id});
    base::WriteFileAtomically(at(names.user_words), text::ToBenchmarkJson(words));
  }
  if (!names.events.empty()) {
    const script::EventsFacts facts{.seed = finished.seed,
                                    .sample_rate_hz = config.mimi.sample_rate_hz,
                                    .frame_samples = config.mimi.frame_samples()};
    base::WriteFileAtomically(at(names.events),
                              script::EventsJson(*dialogue.script, facts, finished.events));
  }
  if (!names.marks.empty()) {
    const auto marks = script::MarksJson(*dialogue.script, finished.events);
    base::WriteFileAtomically(at(names.marks), marks->bytes);
  }

  const double duration_s = static_cast<double>(finished.agent.size()) / config.mimi.sample_rate_hz;
  std::vector<std::string> warnings = dialogue.warnings;
  for (const AgentSide& side : dialogue.agents) {
    for (const std::string& warning : side.prompt->warnings) warnings.push_back(warning);
  }
  if (written.clipped_samples > 0 && !dialogue.float_samples) {
    warnings.push_back(fmt::format("{} samples were clipped (peak {:.3f})", written.clipped_samples,
                                   written.peak));
  }
  Json record = dialogue.record;
  record["device"] = finished.device;
  record["dtype"] = finished.dtype;
  if (finished.damage) record["quantisation"] = engine::ToJson(*finished.damage);
  if (finished.slots > 0) record["batch_slots"] = finished.slots;
  record["prompt_frames"] = finished.prompt_steps;
  record["dialogue_frames"] = finished.frames;
  record["context_frames"] = config.lm.context;
  record["output_samples"] = finished.agent.size();
  record["sample_rate_hz"] = config.mimi.sample_rate_hz;
  record["clipped_samples"] = written.clipped_samples;
  record["peak"] = written.peak;
  record["warnings"] = warnings;
  base::WriteFileAtomically(at(names.record),
                            record.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");

  for (const std::string& file : dialogue.links) Link(file, folder / fs::path(file).filename());

  batch::DialogueOutcome outcome;
  outcome.audio_s = duration_s;
  for (const std::string& path : OutputPaths(dialogue)) {
    const std::string whole = (fs::path(context.output_folder) / path).string();
    outcome.files.push_back({.path = path,
                             .sha256 = base::Sha256File(whole),
                             .bytes = static_cast<int64_t>(fs::file_size(whole))});
  }
  Json details{{"clipped_samples", written.clipped_samples}};
  if (!warnings.empty()) details["warnings"] = warnings;
  outcome.details = details.dump(-1, ' ', false, Json::error_handler_t::replace);
  return outcome;
}

}  // namespace ppx::app
