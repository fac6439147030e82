#include "ppx_offline/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "base/error.h"
#include "common/program.h"
#include "common/yaml_config.h"
#include "engine/trace.h"
#include "text/persona.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultRepo = "nvidia/personaplex-7b-v1";

constexpr const char* kExamples = R"(Examples:
  # the bundled checkpoint (random weights: it makes noise), everything into one folder
  ppx-offline --model tiny --voice-prompt FLITE0 --input-wav in.wav --output-dir out

  # the released model, as its own offline script is called
  ppx-offline --voice-prompt NATF2.pt --text-prompt "You enjoy having a good conversation." \
      --input-wav in.wav --output-wav out.wav --output-text out.json

  # a persona, a fixed seed, silence around a stereo recording's second channel
  ppx-offline --persona fdb-interruption --seed 7 --channel 1 --lead-in 1 --tail 4 \
      --input-wav call.flac --output-dir out

  # the same run again
  ppx-offline --config out/run.json
)";

// Where prompts/, voices/ and configs/ lie.
fs::path DataDir() {
  const char* from_environment = std::getenv("PPX_DATA");
  return from_environment != nullptr && *from_environment != '\0' ? from_environment : PPX_DATA_DIR;
}

bool Given(const CLI::App& app, const std::string& name) {
  return app.get_option(name)->count() > 0;
}

void ApplyPersona(const CLI::App& app, RawOptions& raw) {
  if (raw.persona.empty()) return;
  fs::path path = raw.persona;
  if (!fs::exists(path)) {
    path = DataDir() / "prompts" / (raw.persona + ".yaml");
    if (!fs::exists(path)) {
      base::ThrowBadInput(fmt::format("--persona {}: neither a file nor one of {}", raw.persona,
                                      (DataDir() / "prompts").string()));
    }
  }
  const text::Persona persona = text::LoadPersona(path.string());
  if (!Given(app, "--text-prompt")) raw.text_prompt = persona.text_prompt;
  if (!Given(app, "--voice-prompt") && !persona.voice.empty()) {
    const fs::path beside = path.parent_path() / persona.voice;
    raw.voice_prompt = fs::is_regular_file(beside) ? beside.string() : persona.voice;
  }
  const auto take = [&](const char* option, const auto& value, auto& target) {
    if (value && !Given(app, option)) target = *value;
  };
  take("--temp-audio", persona.temp_audio, raw.temp_audio);
  take("--temp-text", persona.temp_text, raw.temp_text);
  take("--topk-audio", persona.topk_audio, raw.topk_audio);
  take("--topk-text", persona.topk_text, raw.topk_text);
  take("--greedy", persona.greedy, raw.greedy);
  raw.persona.clear();
}

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

void CheckRanges(const RawOptions& raw) {
  const auto seconds = [](const char* name, double value) {
    if (!(value >= 0 && value <= 3600)) {
      base::ThrowUsage(fmt::format("{} {}: expected 0 to 3600 seconds", name, value));
    }
  };
  seconds("--lead-in", raw.lead_in_s);
  seconds("--tail", raw.tail_s);
  const auto temperature = [](const char* name, double value) {
    if (!(value >= 0 && value <= 100)) {
      base::ThrowUsage(fmt::format("{} {}: expected 0 (greedy) to 100", name, value));
    }
  };
  temperature("--temp-audio", raw.temp_audio);
  temperature("--temp-text", raw.temp_text);
}

int ParseContext(const std::string& text) {
  if (text == "auto") return 0;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 2 || value > 1 << 20) {
    base::ThrowUsage("--context " + text + ": expected auto or a number of frames, 2 or more");
  }
  return value;
}

hub::ModelFiles FindModel(const RawOptions& raw) {
  hub::ModelRequest request;
  request.model = raw.model;
  const fs::path bundled = DataDir() / "configs" / raw.model;
  if (!raw.model.empty() && !fs::exists(raw.model) && fs::exists(bundled / "model.safetensors")) {
    request.model = bundled.string();
  }
  if (request.model.empty()) request.model = raw.hf_repo;
  if (request.model.empty() &&
      (raw.moshi_weight.empty() || raw.mimi_weight.empty() || raw.tokenizer.empty())) {
    request.model = kDefaultRepo;
  }
  request.moshi_weight = raw.moshi_weight;
  request.mimi_weight = raw.mimi_weight;
  request.tokenizer = raw.tokenizer;
  request.config = raw.model_config;
  request.voice_prompt_dir = raw.voice_prompt_dir;
  return hub::LocateModel(request);
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

  const char* model = "Model";
  app.add_option("--model", raw.model,
                 "Folder, 'tiny' (the bundled checkpoint) or hub name in the hub's cache "
                 "(default: nvidia/personaplex-7b-v1)")
      ->envname("PPX_MODEL")
      ->group(model);
  app.add_option("--hf-repo", raw.hf_repo, "Hub name; as --model")->group(model);
  app.add_option("--moshi-weight", raw.moshi_weight, "Language model, safetensors")->group(model);
  app.add_option("--mimi-weight", raw.mimi_weight, "Codec, safetensors")->group(model);
  app.add_option("--tokenizer", raw.tokenizer, "SentencePiece model")->group(model);
  app.add_option("--model-config", raw.model_config, "config.json with the sizes")->group(model);
  app.add_option("--context", raw.context, "Attention window in frames; auto: the checkpoint's")
      ->group(model);
  app.add_option(
         "--beyond-context", raw.beyond_context,
         "A dialogue longer than the window: allow (warn), refuse, or auto: refuse where the "
         "window is the released model's 3000 frames or longer")
      ->check(CLI::IsMember({"auto", "allow", "refuse"}))
      ->group(model);

  const char* prompt = "Prompt";
  app.add_option("--persona", raw.persona,
                 "YAML with role, voice and sampling: a path or a name in prompts/")
      ->group(prompt);
  app.add_option("--text-prompt", raw.text_prompt, "The role; <system> tags are added")
      ->group(prompt);
  app.add_option("--voice-prompt", raw.voice_prompt,
                 "WAV, or saved voice (.pt, .safetensors): a path or a name in the voice folders")
      ->group(prompt);
  app.add_option("--voice-prompt-dir", raw.voice_prompt_dir, "Folder of voices, looked into first")
      ->group(prompt);

  const char* sampling = "Sampling";
  app.add_option("--seed", raw.seed, "Seed; negative: a new one, recorded")->group(sampling);
  app.add_flag("--greedy", raw.greedy, "Take the likeliest token everywhere")->group(sampling);
  app.add_option("--temp-audio", raw.temp_audio, "Temperature of audio tokens")->group(sampling);
  app.add_option("--temp-text", raw.temp_text, "Temperature of text tokens")->group(sampling);
  app.add_option("--topk-audio", raw.topk_audio, "Audio tokens kept; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->group(sampling);
  app.add_option("--topk-text", raw.topk_text, "Text tokens kept; 0: all")
      ->check(CLI::NonNegativeNumber)
      ->group(sampling);

  const char* device = "Device";
  app.add_option("--device", raw.device, "cpu, cuda, cuda:N; auto: a GPU where a driver is found")
      ->envname("PPX_DEVICE")
      ->group(device);
  app.add_option("--dtype", raw.dtype,
                 "f32 or bf16 for the language model (default: bf16 on CUDA, as stored on the CPU)")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->group(device);
  app.add_flag("--cpu-offload", raw.cpu_offload,
               "Keep the layers in host memory, for GPUs that cannot hold them")
      ->group(device);
  app.add_option("--threads", raw.threads, "CPU threads; 0: all cores, one for a small model")
      ->check(CLI::Range(0, 1024))
      ->group(device);

  const char* terminal = "Terminal";
  app.add_flag("--quiet", raw.quiet, "Only warnings and errors")->group(terminal);
  app.add_flag("--json", raw.json, "Print the record of the run instead of a summary")
      ->group(terminal);
}

ResolvedOptions Resolve(const CLI::App& app, const RawOptions& given) {
  ResolvedOptions options;
  options.raw = given;
  RawOptions& raw = options.raw;
  ApplyPersona(app, raw);
  CheckRanges(raw);
  options.context = ParseContext(raw.context);
  options.align = raw.align == "live" ? engine::Align::kLive : engine::Align::kStream;
  if (!raw.trace_values.empty() && raw.trace.empty()) {
    base::ThrowUsage("--trace-values needs --trace FILE");
  }
  if (raw.output_dir.empty() && raw.output_wav.empty()) {
    base::ThrowUsage("nowhere to write to: give --output-dir or --output-wav");
  }
  if (raw.device == "auto") {
    raw.device = fs::exists("/proc/driver/nvidia/version") ? "cuda" : "cpu";
  }
  if (raw.seed < 0) raw.seed = static_cast<int64_t>(std::random_device{}());
  options.seed = static_cast<uint64_t>(raw.seed);
  options.sampling = {.greedy = raw.greedy,
                      .temp_text = raw.temp_text,
                      .temp_audio = raw.temp_audio,
                      .topk_text = raw.topk_text,
                      .topk_audio = raw.topk_audio};
  options.text_prompt = raw.text_prompt;
  options.model = FindModel(raw);
  if (!raw.voice_prompt.empty()) {
    std::vector<std::string> folders;
    if (!raw.voice_prompt_dir.empty()) folders.push_back(raw.voice_prompt_dir);
    if (!options.model.voices_dir.empty()) folders.push_back(options.model.voices_dir);
    folders.push_back((DataDir() / "voices").string());
    options.voice_path = hub::FindVoice(raw.voice_prompt, folders);
    raw.voice_prompt = options.voice_path;
  }
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
  put_text("moshi-weight", options.model.moshi_weight);
  put_text("mimi-weight", options.model.mimi_weight);
  put_text("tokenizer", options.model.tokenizer);
  put_text("model-config", options.model.config);
  put("context", raw.context);
  put("beyond-context", raw.beyond_context);
  put_text("text-prompt", raw.text_prompt);
  put_text("voice-prompt", raw.voice_prompt);
  put("seed", raw.seed);
  put("greedy", raw.greedy);
  put("temp-audio", raw.temp_audio);
  put("temp-text", raw.temp_text);
  put("topk-audio", raw.topk_audio);
  put("topk-text", raw.topk_text);
  put("device", raw.device);
  put_text("dtype", raw.dtype);
  put("cpu-offload", raw.cpu_offload);
  put("threads", raw.threads);
  return json;
}

}  // namespace ppx::app
