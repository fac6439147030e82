#include "ppx_offline/outputs.h"

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <map>

#include "audio/wav_writer.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "text/text_track.h"
#include "text/transcript_formats.h"

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
  const int rate = config.mimi.sample_rate_hz;
  const double duration_s = static_cast<double>(audio.output_samples) / rate;
  const auto format =
      raw.sample_format == "float32" ? audio::SampleFormat::kFloat32 : audio::SampleFormat::kPcm16;
  WrittenAudio written;
  if (!raw.output_wav.empty()) {
    const auto wav = audio::WriteWav(raw.output_wav, {result.agent}, rate, format);
    written = {wav.clipped_samples, wav.peak};
  }
  if (!raw.output_stereo.empty()) {
    const std::vector<float> user = audio.AlignedUser(config.mimi.frame_samples());
    const auto wav = audio::WriteWav(raw.output_stereo, {user, result.agent}, rate, format);
    if (raw.output_wav.empty()) written = {wav.clipped_samples, wav.peak};
  }
  const text::TextIds ids{.pad = config.lm.text_padding_id};
  const auto words =
      text::TimedWords(result.text, tokenizer, config.mimi.frame_s(), /*start_s=*/0, ids);
  const std::string recording = fs::path(raw.input_wav).stem().string();
  const auto write = [](const std::string& path, const std::function<std::string()>& bytes) {
    if (!path.empty()) base::WriteFileAtomically(path, bytes());
  };
  write(raw.output_text,
        [&] { return text::ToFrameTextJson(text::FrameStrings(result.text, tokenizer, ids)); });
  write(raw.output_words, [&] { return text::ToBenchmarkJson(words); });
  write(raw.output_srt, [&] { return text::ToSrt(words); });
  write(raw.output_vtt, [&] { return text::ToWebVtt(words); });
  write(raw.output_ctm, [&] { return text::ToCtm(words, recording, "1"); });
  write(raw.output_textgrid, [&] { return text::ToTextGrid(words, duration_s); });
  if (trace != nullptr) trace->Write(raw.trace, result.tokens, result.trace_pcm);
  return written;
}

}  // namespace ppx::app
