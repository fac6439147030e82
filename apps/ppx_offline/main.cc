// ppx-offline: one recording through PersonaPlex, as if live.
#include <fmt/format.h>
#include <torch/headeronly/version.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <iostream>
#include <memory>

#include "base/atomic_file.h"
#include "common/console.h"
#include "common/measure.h"
#include "common/program.h"
#include "common/toolkit_files.h"
#include "common/version.h"
#include "engine/device.h"
#include "engine/offline.h"
#include "kernels/isa.h"
#include "ppx_offline/options.h"
#include "ppx_offline/outputs.h"
#include "text/tokenizer.h"

namespace ppx::app {
namespace {

using Json = nlohmann::ordered_json;

// Warnings are shown when they arise and kept for the record.
class Warnings {
 public:
  void Add(const std::string& text) {
    Warn(text);
    texts_.push_back(text);
  }
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  std::vector<std::string> texts_;
};

engine::SystemPrompt ReadPrompt(const ResolvedOptions& options, const engine::ModelConfig& config,
                                const text::Tokenizer& tokenizer, std::vector<float>& voice_samples,
                                Warnings& warnings) {
  engine::SystemPrompt prompt;
  if (!config.lm.system_prompts) {
    if (!options.raw.text_prompt.empty() || !options.voice_path.empty()) {
      warnings.Add(
          "this model was not trained on prompts: --text-prompt and --voice-prompt are ignored");
    }
    return prompt;
  }
  prompt.text_tokens = TextPromptTokens(options.raw.text_prompt, tokenizer, options.model.tokenizer,
                                        config.lm, std::bind_front(&Warnings::Add, &warnings));
  if (options.voice_path.empty()) {
    warnings.Add("no --voice-prompt: the agent's voice is left to the model");
  } else if (engine::IsSavedVoice(options.voice_path)) {
    prompt.voice = engine::ReadSavedVoice(options.voice_path, config.lm);
  } else {
    voice_samples = engine::ReadVoiceRecording(options.voice_path, config.mimi);
  }
  return prompt;
}

// SHA-256 of each file, by its role. Hashing gigabytes for the first time takes seconds: it runs
// beside the dialogue. Ends early once `cancel` is true.
std::future<Json> HashFiles(const ResolvedOptions& options, const std::atomic<bool>& cancel) {
  std::vector<std::pair<std::string, std::string>> files{
      {"input_wav", options.raw.input_wav},
      {"moshi_weight", options.model.moshi_weight},
      {"mimi_weight", options.model.mimi_weight},
      {"tokenizer", options.model.tokenizer}};
  if (!options.model.config.empty()) files.emplace_back("model_config", options.model.config);
  if (!options.voice_path.empty()) files.emplace_back("voice_prompt", options.voice_path);
  return std::async(std::launch::async, [files, &cancel] {
    Json json;
    for (const auto& [role, path] : files) {
      json[role] = {{"path", path}, {"sha256", CachedSha256File(path, &cancel)}};
    }
    return json;
  });
}

base::ExitCode Run(const CLI::App& app, const RawOptions& given) {
  const auto begun = std::chrono::steady_clock::now();
  CatchSignals();
  Warnings warnings;
  const ResolvedOptions options = Resolve(app, given, std::bind_front(&Warnings::Add, &warnings));
  const RawOptions& raw = options.raw;

  // Everything that can be wrong with the inputs is found before the weights are loaded.
  const engine::ModelConfig config =
      engine::ModelConfig::Read(options.model.config, options.context);
  const text::Tokenizer tokenizer = text::Tokenizer::Load(options.model.tokenizer);
  if (tokenizer.size() < config.lm.text_card) {
    warnings.Add(
        fmt::format("{}: has {} pieces, the model {}; ids without a piece are written as <id>",
                    options.model.tokenizer, tokenizer.size(), config.lm.text_card));
  }
  const engine::DialogueAudio audio =
      engine::ReadDialogueAudio(raw.input_wav, raw.channel, raw.lead_in_s, raw.tail_s, config.mimi);
  std::vector<float> voice_samples;
  engine::SystemPrompt prompt = ReadPrompt(options, config, tokenizer, voice_samples, warnings);
  engine::DialogueOptions dialogue;
  dialogue.sampling = options.sampling;
  dialogue.seed = options.seed;
  dialogue.dialogue_id = raw.dialogue_name;

  const int64_t frame_samples = config.mimi.frame_samples();
  const int64_t frames = static_cast<int64_t>(audio.samples.size()) / frame_samples;
  const int64_t prompt_steps =
      engine::PromptStepCount(prompt, config.lm, config.mimi.frame_rate_hz) +
      static_cast<int64_t>(voice_samples.size()) / frame_samples;
  const LengthVerdict length = CheckLength(raw, config, prompt_steps, frames);
  if (length.refused) base::ThrowBadInput(length.message);
  if (!length.message.empty()) warnings.Add(length.message);
  CheckOutputs(raw);

  const bool silent = raw.quiet || raw.json;
  base::NoProgress no_progress;
  ProgressBar bar(config.mimi.frame_s());
  base::Progress& progress = silent ? static_cast<base::Progress&>(no_progress) : bar;

  const auto load_begun = std::chrono::steady_clock::now();
  progress.Begin("loading the model", 0);
  engine::Engine engine(
      {options.model.config, options.model.moshi_weight, options.model.mimi_weight}, config,
      {.device = raw.device,
       .dtype = raw.dtype,
       .quantize = raw.quantize,
       .quantised_file = QuantisedFile(raw, options.model, &Interrupted()),
       .max_steps = prompt_steps + frames,
       .cpu_offload = raw.cpu_offload,
       .threads = raw.threads});
  progress.End();
  const double load_s = SecondsSince(load_begun);
  if (raw.cpu_offload && !engine.device().is_cuda()) {
    warnings.Add("--cpu-offload: the model is on the CPU already");
  }
  std::future<Json> hashes;
  const bool wants_record = raw.json || !raw.output_record.empty();
  if (wants_record) hashes = HashFiles(options, Interrupted());
  if (!voice_samples.empty()) {
    prompt.voice = engine.EncodeVoiceSamples(options.voice_path, voice_samples);
  }
  if (!raw.save_voice.empty() && prompt.voice.empty()) {
    base::ThrowUsage("--save-voice needs --voice-prompt");
  }

  dialogue.prompt = std::make_shared<const engine::SystemPrompt>(std::move(prompt));

  std::unique_ptr<engine::TraceRecorder> trace;
  if (!raw.trace.empty()) trace = std::make_unique<engine::TraceRecorder>(raw.trace_values);
  const engine::DialogueResult result = engine::RenderDialogue(
      engine, audio, dialogue, options.align, progress, Interrupted(), trace.get());
  if (!raw.save_voice.empty()) {
    engine::WriteSavedVoice(raw.save_voice, dialogue.prompt->voice, engine.lm());
  }
  const WrittenAudio written = WriteOutputs(raw, audio, result, config, tokenizer, trace.get());
  if (written.clipped_samples > 0 && raw.sample_format == "pcm16") {
    warnings.Add(
        fmt::format("{} samples were clipped (peak {:.3f}); --sample-format float32 keeps them",
                    written.clipped_samples, written.peak));
  }

  const double audio_s = static_cast<double>(frames) * config.mimi.frame_s();
  const double real_time_factor = audio_s / std::max(result.dialogue_seconds, 1e-9);
  if (wants_record) {
    Json record;
    record["record_version"] = 1;
    record["program"] = "ppx-offline";
    record["version"] = kVersion;
    record["commit"] = kCommit;
    record["libtorch"] = TORCH_VERSION;
    record["device"] = {{"name", engine.device().str()},
                        {"description", engine::DeviceDescription(engine.device())},
                        {"dtype", engine::DtypeName(engine.dtype())},
                        {"kernels", kernels::Name(kernels::CurrentIsa())}};
    if (engine.damage()) record["quantisation"] = engine::ToJson(*engine.damage());
    record["options"] = OptionsJson(options);
    record["files"] = hashes.get();
    record["model"] = options.model.source;
    record["text_prompt_tokens"] = dialogue.prompt->text_tokens;
    record["prompt_frames"] = result.prompt_steps;
    record["dialogue_frames"] = frames;
    record["context_frames"] = config.lm.context;
    record["lead_in_frames"] = audio.lead_in_frames;
    record["output_samples"] = audio.output_samples;
    record["sample_rate_hz"] = config.mimi.sample_rate_hz;
    record["clipped_samples"] = written.clipped_samples;
    record["peak"] = written.peak;
    record["warnings"] = warnings.texts();
    record["seconds"] = {{"load", load_s},
                         {"prompt", result.prompt_seconds},
                         {"dialogue", result.dialogue_seconds},
                         {"total", SecondsSince(begun)}};
    record["frames_per_second"] =
        static_cast<double>(frames) / std::max(result.dialogue_seconds, 1e-9);
    record["real_time_factor"] = real_time_factor;
    record["peak_memory_bytes"] = PeakMemoryBytes();
    const std::string bytes = record.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    if (!raw.output_record.empty()) base::WriteFileAtomically(raw.output_record, bytes);
    if (raw.json) std::cout << bytes << std::flush;
  }
  if (!silent) {
    fmt::print(
        "{:.2f} s of dialogue in {:.2f} s ({:.2f}x real time), prompt {:.2f} s, loading {:.2f} s\n",
        audio_s, result.dialogue_seconds, real_time_factor, result.prompt_seconds, load_s);
    for (const std::string& path : WrittenPaths(raw)) fmt::print("  {}\n", path);
  }
  return base::ExitCode::kOk;
}

}  // namespace
}  // namespace ppx::app

int main(int argc, char** argv) {
  CLI::App app("Streams a recording through PersonaPlex as if live; writes what the agent says.",
               "ppx-offline");
  ppx::app::RawOptions options;
  ppx::app::AddOptions(app, options);
  return ppx::app::RunProgram(app, argc, argv, [&] { return ppx::app::Run(app, options); });
}
