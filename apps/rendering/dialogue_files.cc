#include "rendering/dialogue_files.h"

#include <functional>

#include "audio/wav_writer.h"
#include "base/atomic_file.h"
#include "text/text_track.h"
#include "text/transcript_formats.h"

namespace ppx::app {

WrittenAudio WriteDialogue(const DialoguePaths& paths, const FinishedDialogue& dialogue,
                           const engine::ModelConfig& config, const text::Tokenizer& tokenizer,
                           bool float_samples) {
  const int rate = config.mimi.sample_rate_hz;
  const double duration_s = static_cast<double>(dialogue.agent.size()) / rate;
  const auto format = float_samples ? audio::SampleFormat::kFloat32 : audio::SampleFormat::kPcm16;
  const std::vector<float> agent(dialogue.agent.begin(), dialogue.agent.end());
  WrittenAudio written;
  if (!paths.wav.empty()) {
    const auto wav = audio::WriteWav(paths.wav, {agent}, rate, format);
    written = {wav.clipped_samples, wav.peak};
  }
  if (!paths.stereo.empty()) {
    const auto wav = audio::WriteWav(
        paths.stereo, {{dialogue.user.begin(), dialogue.user.end()}, agent}, rate, format);
    if (paths.wav.empty()) written = {wav.clipped_samples, wav.peak};
  }
  const text::TextIds ids{.pad = config.lm.text_padding_id};
  const std::vector<int32_t> text(dialogue.text.begin(), dialogue.text.end());
  const auto words = text::TimedWords(text, tokenizer, config.mimi.frame_s(), /*start_s=*/0, ids);
  const auto write = [](const std::string& path, const std::function<std::string()>& bytes) {
    if (!path.empty()) base::WriteFileAtomically(path, bytes());
  };
  write(paths.text,
        [&] { return text::ToFrameTextJson(text::FrameStrings(text, tokenizer, ids)); });
  write(paths.words, [&] { return text::ToBenchmarkJson(words); });
  write(paths.srt, [&] { return text::ToSrt(words); });
  write(paths.vtt, [&] { return text::ToWebVtt(words); });
  write(paths.ctm, [&] { return text::ToCtm(words, dialogue.name, "1"); });
  write(paths.textgrid, [&] { return text::ToTextGrid(words, duration_s); });
  return written;
}

}  // namespace ppx::app
