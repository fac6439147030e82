#include "ppx_offline/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <random>

#include "base/error.h"
#include "common/program.h"
#include "common/yaml_config.h"
#include "engine/trace.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExamples = R"(Examples:
  # the bundled model as a bank's agent, everything into one folder
  ppx-offline --model mini --persona mini-bank --input-wav in.wav --output-dir out

  # the released model, as its own offline script is called
  ppx-offline --voice-prompt NATF2.pt --text-prompt "You enjoy having a good conversation." \
      --input-wav in.wav --output-wav out.wav --output-text out.json

  # a persona, a fixed seed, silence around a stereo recording's second channel
  ppx-offline --persona fdb-interruption --seed 7 --channel 1 --lead-in 1 --tail 4 \
      --input-wav call.flac --output-dir out

  # the same run again
  ppx-offline --config out/run.json
)";

void FillOutputs(RawOptions& raw) {
  if (raw.output_dir.empty()) return;
  const fs::path dir = raw.output_dir;
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) {
    const std::string what =
        fmt::format("--output-dir {}: cannot be made: {}", raw.output_dir, error.message());
    if (error == std::errc::no_space_on_device || error == std::errc::io_error) {
      base::ThrowResource(what + "; free some space or check the disk");
    }
    base::ThrowUsage(what + "; choose another folder");
  }
  const auto fill = [&](std::string& path, const char* name) {
    if (path.empty()) path = (dir / name).string();
  };
  fill(raw.output_wav, "output.wav");
  fill(raw.output_text, "text.json");
  fill(raw.output_words, "output.json");
  fill(raw.output_stereo, "stereo.wav");
  fill(raw.output_record, "run.json");
  raw.output_dir.clear();
}

}  // namespace

void AddOptions(CLI::App& app, RawOptions& raw) {
  app.footer(std::string(kExamples) + "\n" + ExitCodeHelp());
  app.set_version_flag("--version", VersionText("ppx-offline"));
  app.set_config("--config", "", "Run configuration: YAML, or the run.json of an earlier run");
  app.config_formatter(std::make_shared<YamlConfig>());
  app.allow_config_extras(false);
  app.option_defaults()->always_capture_default();

  const char* input = "Input";
  app.add_option("--input-wav", raw.input_wav,
                 "The user's recording: any rate and format of libsndfile")
      ->required()
      ->group(input);
  app.add_option("--channel", raw.channel, "Channel of the recording that is the user, from 0")
      ->check(CLI::NonNegativeNumber)
      ->group(input);
  app.add_option("--lead-in", raw.lead_in_s,
                 "Seconds of silence before the recording, rounded to frames; not in the outputs")
      ->group(input);
  app.add_option("--tail", raw.tail_s, "Seconds of silence after the recording; in the outputs")
      ->group(input);

  const char* output = "Output";
  app.add_option("--output-dir", raw.output_dir,
                 "Folder for output.wav, text.json, output.json (words), stereo.wav and run.json")
      ->group(output);
  app.add_option("--output-wav", raw.output_wav, "The agent, mono, as long as recording and tail")
      ->group(output);
  app.add_option("--output-text", raw.output_text,
                 "JSON list of the text stream, one string a frame")
      ->group(output);
  app.add_option("--output-words", raw.output_words,
                 "Words with times, JSON in the layout of FullDuplexBench")
      ->group(output);
  app.add_option("--output-stereo", raw.output_stereo, "WAV with the user left, the agent right")
      ->group(output);
  app.add_option("--output-srt", raw.output_srt, "Subtitles, SubRip")->group(output);
  app.add_option("--output-vtt", raw.output_vtt, "Subtitles, WebVTT")->group(output);
  app.add_option("--output-ctm", raw.output_ctm, "Words, NIST CTM")->group(output);
  app.add_option("--output-textgrid", raw.output_textgrid, "Words, Praat TextGrid")->group(output);
  app.add_option("--output-record", raw.output_record,
                 "Record of the run, JSON; --config repeats the run from it")
      ->group(output);
  app.add_option("--sample-format", raw.sample_format, "Samples of WAV outputs: pcm16 or float32")
      ->check(CLI::IsMember({"pcm16", "float32"}))
      ->group(output);
  app.add_option(
         "--align", raw.align,
         "stream: the answer to a frame starts where the frame starts (the reference's way); "
         "live: one frame later, when it could have been heard")
      ->check(CLI::IsMember({"stream", "live"}))
      ->group(output);
  app.add_option("--trace", raw.trace,
                 "safetensors with tokens and unclipped samples, always in stream alignment")
      ->group(output);
  app.add_option("--trace-values", raw.trace_values,
                 "Also trace these: " + fmt::format("{}", fmt::join(engine::TraceNames(), ", ")))
      ->delimiter(',')
      ->group(output);
  app.add_option("--save-voice", raw.save_voice,
                 "Write the voice prompt as safetensors, for --voice-prompt")
      ->group(output);

  AddModelOptions(app, raw);
  AddPromptOptions(app, raw);
  app.add_option("--dialogue-name", raw.dialogue_name,
                 "Random numbers depend on it and on the seed; a dialogue of ppx-batch has its id")
      ->group("Sampling");
  app.add_option("--device", raw.device, "cpu, cuda, cuda:N; auto: a GPU where a driver is found")
      ->envname("PPX_DEVICE")
      ->group("Device");

  const char* terminal = "Terminal";
  app.add_flag("--quiet", raw.quiet, "Only warnings and errors")->group(terminal);
  app.add_flag("--json", raw.json, "Print the record of the run instead of a summary")
      ->group(terminal);
}

ResolvedOptions Resolve(const CLI::App& app, const RawOptions& given,
                        const std::function<void(const std::string&)>& warn) {
  ResolvedOptions options;
  options.raw = given;
  RawOptions& raw = options.raw;
  if (!raw.persona.empty()) {
    const auto given_here = [&](const char* name) { return app.get_option(name)->count() > 0; };
    ApplyPersona(FindPersona(raw.persona), given_here, raw);
    raw.persona.clear();
  }
  CheckSeconds("--lead-in", raw.lead_in_s);
  CheckSeconds("--tail", raw.tail_s);
  CheckSampling(raw);
  options.context = ParseContext(raw.context);
  options.align = raw.align == "live" ? engine::Align::kLive : engine::Align::kStream;
  if (!raw.trace_values.empty() && raw.trace.empty()) {
    base::ThrowUsage("--trace-values needs --trace FILE");
  }
  if (raw.output_dir.empty() && raw.output_wav.empty()) {
    base::ThrowUsage("nowhere to write to: give --output-dir or --output-wav");
  }
  if (raw.device == "auto") raw.device = AutoDevice();
  if (raw.seed < 0) raw.seed = static_cast<int64_t>(std::random_device{}());
  options.seed = static_cast<uint64_t>(raw.seed);
  options.sampling = Sampling(raw);
  options.model = FindModel(raw, raw.voice_prompt_dir, warn);
  options.voice_path = FindVoicePrompt(raw, options.model);
  raw.voice_prompt = options.voice_path;
  FillOutputs(raw);
  return options;
}

nlohmann::ordered_json OptionsJson(const ResolvedOptions& options) {
  const RawOptions& raw = options.raw;
  nlohmann::ordered_json json;
  const auto put = [&](const char* name, const auto& value) { json[name] = value; };
  const auto put_text = [&](const char* name, const std::string& value) {
    if (!value.empty()) json[name] = value;
  };
  put_text("input-wav", raw.input_wav);
  put("channel", raw.channel);
  put("lead-in", raw.lead_in_s);
  put("tail", raw.tail_s);
  put("align", raw.align);
  put_text("output-wav", raw.output_wav);
  put_text("output-text", raw.output_text);
  put_text("output-words", raw.output_words);
  put_text("output-stereo", raw.output_stereo);
  put_text("output-srt", raw.output_srt);
  put_text("output-vtt", raw.output_vtt);
  put_text("output-ctm", raw.output_ctm);
  put_text("output-textgrid", raw.output_textgrid);
  put_text("output-record", raw.output_record);
  put("sample-format", raw.sample_format);
  put_text("trace", raw.trace);
  if (!raw.trace_values.empty()) put("trace-values", raw.trace_values);
  put_text("save-voice", raw.save_voice);
  PutModelOptions(raw, options.model, json);
  PutPromptOptions(raw, json);
  put_text("dialogue-name", raw.dialogue_name);
  put("device", raw.device);
  put_text("dtype", raw.dtype);
  put_text("quantize", raw.quantize);
  put("cpu-offload", raw.cpu_offload);
  put("threads", raw.threads);
  return json;
}

}  // namespace ppx::app
