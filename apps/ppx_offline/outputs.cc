#include "ppx_offline/outputs.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/atomic_file.h"
#include "base/error.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

std::vector<std::pair<const char*, const std::string*>> OutputPaths(const RawOptions& raw) {
  return {{"--output-wav", &raw.output_wav},       {"--output-text", &raw.output_text},
          {"--output-words", &raw.output_words},   {"--output-stereo", &raw.output_stereo},
          {"--output-srt", &raw.output_srt},       {"--output-vtt", &raw.output_vtt},
          {"--output-ctm", &raw.output_ctm},       {"--output-textgrid", &raw.output_textgrid},
          {"--output-record", &raw.output_record}, {"--trace", &raw.trace},
          {"--save-voice", &raw.save_voice}};
}

}  // namespace

void CheckOutputs(const RawOptions& raw) {
  std::map<fs::path, std::string> seen;
  std::error_code error;
  seen[fs::weakly_canonical(raw.input_wav, error)] = "--input-wav";
  for (const auto& [option, path] : OutputPaths(raw)) {
    if (path->empty()) continue;
    const fs::path real = fs::weakly_canonical(*path, error);
    if (fs::is_regular_file(real, error) || !fs::exists(real, error)) {
      const auto [other, fresh] = seen.emplace(real, option);
      if (!fresh) {
        base::ThrowUsage(
            fmt::format("{} and {} are the same file: {}", other->second, option, *path));
      }
    }
    base::CheckWritable(*path);
  }
}

std::vector<std::string> WrittenPaths(const RawOptions& raw) {
  std::vector<std::string> paths;
  for (const auto& [option, path] : OutputPaths(raw)) {
    if (!path->empty()) paths.push_back(*path);
  }
  return paths;
}

WrittenAudio WriteOutputs(const RawOptions& raw, const engine::DialogueAudio& audio,
                          const engine::DialogueResult& result, const engine::ModelConfig& config,
                          const text::Tokenizer& tokenizer, const engine::TraceRecorder* trace) {
  const DialoguePaths paths{.wav = raw.output_wav,
                            .text = raw.output_text,
                            .words = raw.output_words,
                            .stereo = raw.output_stereo,
                            .srt = raw.output_srt,
                            .vtt = raw.output_vtt,
                            .ctm = raw.output_ctm,
                            .textgrid = raw.output_textgrid};
  const std::vector<float> user = audio.AlignedUser(config.mimi.frame_samples());
  const FinishedDialogue dialogue{.user = user,
                                  .agent = result.agent,
                                  .text = result.text,
                                  .name = fs::path(raw.input_wav).stem().string()};
  const WrittenAudio written =
      WriteDialogue(paths, dialogue, config, tokenizer, raw.sample_format == "float32");
  if (trace != nullptr) trace->Write(raw.trace, result.tokens, result.trace_pcm);
  return written;
}

}  // namespace ppx::app
