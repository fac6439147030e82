#include "ppx_batch/requests.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "audio/resampler.h"
#include "audio/wav_reader.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"
#include "base/strict_yaml.h"
#include "batch/manifest.h"
#include "batch/matrix.h"
#include "batch/plan_file.h"
#include "common/toolkit_files.h"
#include "common/version.h"
#include "engine/system_prompt.h"
#include "ppx_batch/finished_files.h"
#include "script/script_events.h"
#include "suite/sample_folders.h"
#include "suite/suite.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Rises when the same key would give other bytes.
constexpr int kKeyFormat = 1;
constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr size_t kMaxMetadataBytes = size_t{16} << 20;

// A request, and what its source knows besides.
struct Item {
  batch::DialogueRequest request{};
  std::string folder{};  // without the variant's
  OutputNames names{};
  std::vector<std::string> links{};
  std::string suite_prompt{};  // where nobody names a role
  std::string error{};
};

// -- Sources
// ---------------------------------------------------------------------------------------

OutputNames Names(const RawOptions& raw) {
  OutputNames names;
  for (const std::string& also : raw.also) {
    if (also == "text") names.text = "text.json";
    if (also == "stereo") names.stereo = "stereo.wav";
    if (also == "srt") names.srt = "output.srt";
    if (also == "vtt") names.vtt = "output.vtt";
    if (also == "ctm") names.ctm = "output.ctm";
    if (also == "textgrid") names.textgrid = "output.TextGrid";
  }
  return names;
}

std::vector<Item> FromManifest(const RawOptions& raw) {
  std::vector<Item> items;
  for (batch::DialogueRequest& request : batch::ReadManifest(raw.manifest)) {
    Item item{.folder = request.id, .names = Names(raw)};
    item.request = std::move(request);
    items.push_back(std::move(item));
  }
  return items;
}

std::vector<Item> FromScripts(const RawOptions& raw) {
  std::vector<Item> items;
  std::set<std::string> seen;
  for (const std::string& path : raw.scripts) {
    Item item{.names = Names(raw)};
    item.request.id = fs::path(path).stem().string();
    item.request.where = path;
    item.request.script = path;
    if (const auto wrong = batch::WrongWithId(item.request.id)) {
      base::ThrowUsage(fmt::format("{}: its name becomes a folder, and {}", path, *wrong));
    }
    if (!seen.insert(item.request.id).second) {
      base::ThrowUsage(fmt::format("{}: another script has this name; rename one of them", path));
    }
    item.folder = item.request.id;
    items.push_back(std::move(item));
  }
  return items;
}

// The role that a ServiceDuplexBench sample brings with it.
std::string PromptOfSample(const std::string& path) {
  try {
    const auto json = nlohmann::json::parse(
        base::ReadSmallFile(path, kMaxMetadataBytes, "the sample's annotation (JSON)"));
    return json.at("prompt_text").get<std::string>();
  } catch (const nlohmann::json::exception& error) {
    base::ThrowBadInput(
        fmt::format("{}: expected an object with 'prompt_text' ({})", path, error.what()));
  }
}

std::vector<Item> FromSuite(const RawOptions& raw, Batch& batch) {
  const suite::Suite suite = suite::LoadSuite(FindOwnFile(raw.suite, "eval"));
  for (const std::string& name : raw.tasks) {
    const auto named = [&](const suite::Task& task) { return task.name == name; };
    if (std::none_of(suite.tasks.begin(), suite.tasks.end(), named)) {
      std::vector<std::string> names;
      for (const suite::Task& task : suite.tasks) names.push_back(task.name);
      base::ThrowUsage(
          fmt::format("--task {}: suite {} has {}", name, suite.id, fmt::join(names, ", ")));
    }
  }
  const suite::FoundSamples found = suite::FindSamples(suite, raw.data);
  for (const std::string& task : found.absent_tasks) {
    batch.notes.push_back(fmt::format("{}: no samples of task {}", raw.data, task));
  }
  std::vector<Item> items;
  for (const suite::SampleFolder& sample : found.samples) {
    const suite::Task& task = suite.tasks[sample.task];
    if (!raw.tasks.empty() &&
        std::find(raw.tasks.begin(), raw.tasks.end(), task.name) == raw.tasks.end()) {
      continue;
    }
    const fs::path source = fs::path(raw.data) / sample.folder;
    const bool mirror = !raw.output_dir.empty() && !raw.no_links;
    Item item{.folder = sample.folder, .names = Names(raw)};
    item.request.id = sample.folder;
    item.request.where = source.string();
    item.request.audio = (source / task.files.user).string();
    item.request.channel = task.files.user_channel;
    item.names.wav = task.files.agent;
    item.names.words = task.files.words.empty() ? "output.json" : task.files.words.front();
    item.suite_prompt = task.prompt;
    // What the sample brings; never another agent's output, nor a verdict about it.
    for (const std::string& name : {task.files.user, task.files.marks, task.files.clean_user}) {
      if (mirror && !name.empty()) item.links.push_back((source / name).string());
    }
    if (task.kind == suite::TaskKind::kServiceQuestion) {
      try {
        item.suite_prompt = PromptOfSample((source / task.files.marks).string());
      } catch (const base::Error& error) {
        item.error = error.what();
      }
    }
    if (!task.files.clean_user.empty()) {
      // The same dialogue without the overlap, which the sample is compared with.
      Item clean{.folder = item.folder, .names = Names(raw), .suite_prompt = item.suite_prompt};
      clean.request = item.request;
      clean.request.id += "/clean";
      clean.request.audio = (source / task.files.clean_user).string();
      clean.names = {.wav = task.files.clean_agent,
                     .words = task.files.clean_words,
                     .record = "clean_run.json"};
      items.push_back(std::move(clean));
    }
    items.push_back(std::move(item));
    if (!task.ground_truth.empty() && mirror) batch.shared_files.push_back(task.ground_truth);
  }
  return items;
}

// -- Settings
// --------------------------------------------------------------------------------------

// A file of the config axis: what it says replaces what the request says.
void ApplyConfig(const std::string& path, batch::DialogueRequest& request) {
  base::YamlMap map =
      base::ParseYaml(base::ReadSmallFile(path, kMaxConfigBytes, "a run configuration (YAML)"),
                      path, "a configuration of --matrix");
  const auto text = [&](const char* key, std::optional<std::string>& value) {
    if (map.Has(key)) value = map.Text(key);
  };
  constexpr int64_t kLargest = int64_t{1} << 53;
  const auto whole = [&](const char* key, auto& value, int64_t high) {
    using Number = typename std::remove_reference_t<decltype(value)>::value_type;
    if (map.Has(key)) value = static_cast<Number>(map.Whole(key, 0, high));
  };
  const auto number = [&](const char* key, std::optional<double>& value, double high) {
    if (!map.Has(key)) return;
    value = map.Number(key);
    if (*value < 0 || *value > high) map.Fail(key, fmt::format("expected 0 to {}", high));
  };
  text("persona", request.persona);
  text("text-prompt", request.text_prompt);
  text("voice-prompt", request.voice_prompt);
  whole("seed", request.seed, kLargest);
  if (map.Has("greedy")) request.greedy = map.Flag("greedy", false);
  number("temp-audio", request.temp_audio, 100);
  number("temp-text", request.temp_text, 100);
  whole("topk-audio", request.topk_audio, 1 << 20);
  whole("topk-text", request.topk_text, 1 << 20);
  number("lead-in", request.lead_in_s, 3600);
  number("tail", request.tail_s, 3600);
  map.Done();
}

// Who the agent is: the request's word, then the command line's, then the persona's, then the
// suite's.
PromptOptions Settle(const RawOptions& raw, const std::function<bool(const char*)>& given,
                     const batch::DialogueRequest& request, const std::string& suite_prompt) {
  PromptOptions options = raw;
  std::set<std::string> said;
  const auto take = [&](const char* option, const auto& value, auto& target) {
    if (!value) return;
    target = *value;
    said.insert(option);
  };
  take("--persona", request.persona, options.persona);
  take("--text-prompt", request.text_prompt, options.text_prompt);
  take("--voice-prompt", request.voice_prompt, options.voice_prompt);
  take("--seed", request.seed, options.seed);
  take("--greedy", request.greedy, options.greedy);
  take("--temp-audio", request.temp_audio, options.temp_audio);
  take("--temp-text", request.temp_text, options.temp_text);
  take("--topk-audio", request.topk_audio, options.topk_audio);
  take("--topk-text", request.topk_text, options.topk_text);
  const auto known = [&](const char* option) { return given(option) || said.contains(option); };
  if (!options.persona.empty()) {
    ApplyPersona(FindPersona(options.persona), known, options);
    options.persona.clear();
  } else if (!known("--text-prompt")) {
    options.text_prompt = suite_prompt;
  }
  return options;
}

class Maker {
 public:
  Maker(const RawOptions& raw, const std::function<bool(const char*)>& given,
        const ModelIdentity& model, const engine::ModelConfig& config,
        const text::Tokenizer& tokenizer, const script::SpeechSynthesiser* synthesiser,
        const std::atomic<bool>& interrupt)
      : raw_(raw),
        given_(given),
        model_(model),
        config_(config),
        tokenizer_(tokenizer),
        synthesiser_(synthesiser),
        interrupt_(interrupt) {}

  BatchDialogue Make(const Item& item, const batch::Variant& variant) {
    BatchDialogue dialogue;
    batch::DialogueRequest request = batch::Apply(variant, item.request);
    dialogue.id = request.id;
    dialogue.random_name = item.request.id;
    dialogue.folder = (fs::path(variant.folder) / item.folder).string();
    dialogue.names = item.names;
    dialogue.links = item.links;
    dialogue.align = raw_.align == "live" ? engine::Align::kLive : engine::Align::kStream;
    dialogue.float_samples = raw_.sample_format == "float32";
    dialogue.error = item.error;
    if (variant.config) ApplyConfig(*variant.config, request);
    dialogue.lead_in_s = request.lead_in_s.value_or(raw_.lead_in_s);
    dialogue.tail_s = request.tail_s.value_or(raw_.tail_s);
    dialogue.channel = request.channel.value_or(0);

    Json input;
    try {
      if (request.script) {
        ReadScript(*request.script, dialogue, input);
      } else {
        ReadRecording(*request.audio, dialogue, input);
      }
      AddAgents(request, item.suite_prompt, dialogue);
    } catch (const base::Error& error) {
      if (error.code() != base::ErrorCode::kBadInput) throw;
      if (dialogue.error.empty()) dialogue.error = error.what();
    }
    if (dialogue.agents.empty())
      dialogue.agents.resize(1, {.prompt = std::make_shared<PromptSource>()});
    CheckContext(dialogue);
    Describe(request, input, dialogue);
    return dialogue;
  }

 private:
  struct Recording {
    std::string sha256;
    int64_t samples = 0;  // at the codec's rate
    std::string error;
  };

  const std::string& Digest(const std::string& path) {
    auto& digest = digests_[path];
    if (digest.empty()) digest = base::Sha256File(path, &interrupt_);
    return digest;
  }

  const Recording& Read(const std::string& path, int channel) {
    auto [entry, fresh] = recordings_.try_emplace({path, channel});
    Recording& recording = entry->second;
    if (!fresh) return recording;
    try {
      const base::Audio audio = audio::ReadAudio(path, channel);
      recording.sha256 = Digest(path);
      recording.samples = audio::ResampledLength(static_cast<int64_t>(audio.samples.size()),
                                                 audio.sample_rate_hz, config_.mimi.sample_rate_hz);
    } catch (const base::Error& error) {
      if (error.code() != base::ErrorCode::kBadInput) throw;
      recording.error = error.what();
    }
    return recording;
  }

  void ReadRecording(const std::string& path, BatchDialogue& dialogue, Json& input) {
    dialogue.audio_path = path;
    const Recording& recording = Read(path, dialogue.channel);
    if (!recording.error.empty()) base::ThrowBadInput(recording.error);
    const double rate = config_.mimi.sample_rate_hz;
    const int64_t samples = recording.samples + std::llround(dialogue.tail_s * rate);
    const int64_t frame = config_.mimi.frame_samples();
    dialogue.frames = std::llround(dialogue.lead_in_s * config_.mimi.frame_rate_hz) +
                      (samples + frame - 1) / frame;
    input = {{"sha256", recording.sha256},
             {"channel", dialogue.channel},
             {"lead_in_s", dialogue.lead_in_s},
             {"tail_s", dialogue.tail_s}};
  }

  void ReadScript(const std::string& path, BatchDialogue& dialogue, Json& input) {
    dialogue.script_path = path;
    auto& script = scripts_[path];
    if (!script) script = std::make_shared<const script::DialogueScript>(script::LoadScript(path));
    dialogue.script = script;
    // At most; one more, as seconds are rounded.
    dialogue.frames =
        static_cast<int64_t>(std::ceil(script->duration_s * config_.mimi.frame_rate_hz)) + 1;
    dialogue.names.user_wav = "input.wav";
    dialogue.names.events = "events.json";
    // Without events the annotation is an empty one, and its name that of the task's file.
    if (const auto marks = script::MarksJson(*script, {})) dialogue.names.marks = marks->name;
    if (script->IsDyad()) dialogue.names.user_words = "input.json";
    dialogue.align = engine::Align::kStream;
    // Scripts of a task lie as a suite's samples do, so that they can be scored.
    if (script->task != script::ScriptTask::kNone) {
      const fs::path folder = dialogue.folder;
      const std::string task = fmt::format("script_{}", script::Name(script->task));
      dialogue.folder = (folder.parent_path() / task / folder.filename()).string();
    }
    Json files = Json::array();
    for (const std::string& file : script::FilesOf(*script)) files.push_back(Digest(file));
    input = {{"script_files", files}};
    if (script::NeedsSynthesiser(*script)) {
      if (synthesiser_ == nullptr) {
        base::ThrowBadInput(path + ": has lines to be spoken; give a synthesiser with --speak");
      }
      input["synthesiser"] = synthesiser_->identity();
    }
  }

  void AddAgents(const batch::DialogueRequest& request, const std::string& suite_prompt,
                 BatchDialogue& dialogue) {
    std::vector<batch::DialogueRequest> sides;
    if (!dialogue.script) {
      sides.push_back(request);
    } else {
      std::vector<script::AgentSpec> choices{dialogue.script->agent};
      if (dialogue.script->agent_b) choices.push_back(*dialogue.script->agent_b);
      for (const script::AgentSpec& choice : choices) {
        // The request's word counts before the script's.
        batch::DialogueRequest side = request;
        const auto take = [](auto& value, const auto& otherwise) {
          if (!value && otherwise) value = *otherwise;
        };
        const bool role = side.persona || side.text_prompt;
        if (!role) {
          take(side.persona, choice.persona);
          take(side.text_prompt, choice.text_prompt);
        }
        take(side.voice_prompt, choice.voice_prompt);
        take(side.seed, choice.seed);
        sides.push_back(std::move(side));
      }
    }
    for (const batch::DialogueRequest& side : sides) {
      const PromptOptions options = Settle(raw_, given_, side, suite_prompt);
      CheckSampling(options);
      dialogue.agents.push_back({.prompt = Prompt(options),
                                 .sampling = Sampling(options),
                                 .seed = static_cast<uint64_t>(options.seed)});
    }
  }

  std::shared_ptr<const PromptSource> Prompt(const PromptOptions& options) {
    const std::string voice = FindVoicePrompt(options, model_.files);
    auto& source = prompts_[{voice, options.text_prompt}];
    if (source) return source;
    auto made = std::make_shared<PromptSource>();
    made->text_prompt = options.text_prompt;
    made->voice_path = voice;
    if (!voice.empty()) made->voice_sha256 = Digest(voice);
    if (config_.lm.system_prompts) {
      made->text_tokens =
          TextPromptTokens(options.text_prompt, tokenizer_, model_.files.tokenizer, config_.lm,
                           [&](const std::string& warning) { made->warnings.push_back(warning); });
      if (voice.empty()) {
        made->warnings.emplace_back("no voice prompt: the agent's voice is left to the model");
      } else if (engine::IsSavedVoice(voice)) {
        made->saved_voice = engine::ReadSavedVoice(voice, config_.lm);
      } else {
        made->voice_samples = engine::ReadVoiceRecording(voice, config_.mimi);
      }
    }
    const engine::SystemPrompt prompt{.voice = made->saved_voice, .text_tokens = made->text_tokens};
    made->steps = engine::PromptStepCount(prompt, config_.lm, config_.mimi.frame_rate_hz) +
                  static_cast<int64_t>(made->voice_samples.size()) / config_.mimi.frame_samples();
    source = std::move(made);
    return source;
  }

  void CheckContext(BatchDialogue& dialogue) {
    for (const AgentSide& side : dialogue.agents) {
      const LengthVerdict length = CheckLength(raw_, config_, side.prompt->steps, dialogue.frames);
      if (length.refused && dialogue.error.empty()) dialogue.error = length.message;
      if (!length.message.empty() && !length.refused) dialogue.warnings.push_back(length.message);
    }
  }

  // The key, and what run.json tells before the dialogue has run.
  void Describe(const batch::DialogueRequest& request, const Json& input, BatchDialogue& dialogue) {
    Json agents = Json::array();
    for (const AgentSide& side : dialogue.agents) {
      agents.push_back({{"text_prompt", side.prompt->text_prompt},
                        {"voice_sha256", side.prompt->voice_sha256},
                        {"seed", side.seed},
                        {"greedy", side.sampling.greedy},
                        {"temp_audio", side.sampling.temp_audio},
                        {"temp_text", side.sampling.temp_text},
                        {"topk_audio", side.sampling.topk_audio},
                        {"topk_text", side.sampling.topk_text}});
    }
    const std::string align = dialogue.align == engine::Align::kLive ? "live" : "stream";
    const Json key{{"format", kKeyFormat},
                   {"version", kVersion},
                   {"moshi_weight", model_.moshi_sha256},
                   {"mimi_weight", model_.mimi_sha256},
                   {"tokenizer", model_.tokenizer_sha256},
                   {"model_config", model_.config_sha256},
                   {"device", model_.device},
                   {"dtype", raw_.dtype},
                   {"quantize", raw_.quantize},
                   {"context", config_.lm.context},
                   {"random_name", dialogue.random_name},
                   {"input", input},
                   {"error", dialogue.error},
                   {"agents", agents},
                   {"align", align},
                   {"float_samples", dialogue.float_samples},
                   {"outputs", OutputPaths(dialogue)}};
    const std::string text = key.dump(-1, ' ', false, Json::error_handler_t::replace);
    dialogue.key = base::Sha256Hex(std::as_bytes(std::span(text)));

    Json& record = dialogue.record;
    record["record_version"] = 1;
    record["program"] = "ppx-batch";
    record["version"] = kVersion;
    record["commit"] = kCommit;
    record["id"] = dialogue.id;
    record["key"] = dialogue.key;
    record["model"] = model_.files.source;
    // As --config of ppx-offline takes them.
    Json options;
    if (!dialogue.audio_path.empty()) options["input-wav"] = dialogue.audio_path;
    options["channel"] = dialogue.channel;
    options["lead-in"] = dialogue.lead_in_s;
    options["tail"] = dialogue.tail_s;
    options["align"] = align;
    options["sample-format"] = dialogue.float_samples ? "float32" : "pcm16";
    options["dialogue-name"] = dialogue.random_name;
    PutModelOptions(raw_, model_.files, options);
    const AgentSide& side = dialogue.agents.front();
    PromptOptions prompt;
    prompt.text_prompt = side.prompt->text_prompt;
    prompt.voice_prompt = side.prompt->voice_path;
    prompt.seed = static_cast<int64_t>(side.seed);
    prompt.greedy = side.sampling.greedy;
    prompt.temp_audio = side.sampling.temp_audio;
    prompt.temp_text = side.sampling.temp_text;
    prompt.topk_audio = side.sampling.topk_audio;
    prompt.topk_text = side.sampling.topk_text;
    PutPromptOptions(prompt, options);
    if (!raw_.dtype.empty()) options["dtype"] = raw_.dtype;
    if (!raw_.quantize.empty()) options["quantize"] = raw_.quantize;
    record["options"] = options;
    if (dialogue.agents.size() > 1) record["agents"] = agents;
    if (!dialogue.script_path.empty()) record["script"] = dialogue.script_path;
    record["files"] = {{"input", input},
                       {"moshi_weight", model_.moshi_sha256},
                       {"mimi_weight", model_.mimi_sha256},
                       {"tokenizer", model_.tokenizer_sha256},
                       {"model_config", model_.config_sha256},
                       {"voice_prompt", side.prompt->voice_sha256}};
    record["requested_by"] = request.where;
  }

  const RawOptions& raw_;
  const std::function<bool(const char*)>& given_;
  const ModelIdentity& model_;
  const engine::ModelConfig& config_;
  const text::Tokenizer& tokenizer_;
  const script::SpeechSynthesiser* synthesiser_;
  const std::atomic<bool>& interrupt_;
  std::map<std::string, std::string> digests_;
  std::map<std::pair<std::string, int>, Recording> recordings_;
  std::map<std::string, std::shared_ptr<const script::DialogueScript>> scripts_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const PromptSource>> prompts_;
};

// An output that is an input of any dialogue would be gone for good. Links count as what they lead
// to.
void CheckInputsStay(const Batch& batch) {
  std::set<fs::path> inputs;
  const auto add = [&](const std::string& path) {
    if (!path.empty()) inputs.insert(fs::weakly_canonical(path));
  };
  for (const BatchDialogue& dialogue : batch.dialogues) {
    add(dialogue.audio_path);
    if (dialogue.script) {
      for (const std::string& file : script::FilesOf(*dialogue.script)) add(file);
    }
    for (const AgentSide& side : dialogue.agents) add(side.prompt->voice_path);
    for (const std::string& file : dialogue.links) add(file);
  }
  for (const batch::PlannedDialogue& dialogue : batch.plan) {
    for (const std::string& output : dialogue.outputs) {
      const fs::path path = fs::path(batch.output_folder) / output;
      if (!inputs.contains(fs::weakly_canonical(path))) continue;
      base::ThrowUsage(fmt::format("{}: {} would be written over an input; choose another folder",
                                   dialogue.id, path.string()));
    }
  }
}

}  // namespace

Batch MakeBatch(const RawOptions& raw, const std::function<bool(const char*)>& given,
                const ModelIdentity& model, const engine::ModelConfig& config,
                const text::Tokenizer& tokenizer, const script::SpeechSynthesiser* synthesiser,
                const std::atomic<bool>& interrupt) {
  Batch batch;
  batch.output_folder = raw.output_dir.empty() ? raw.data : raw.output_dir;
  const std::vector<batch::Variant> variants = batch::MakeVariants(raw.matrix);
  if (variants.front().persona && given("--text-prompt")) {
    base::ThrowUsage("--text-prompt would take the place of the roles of --matrix persona=...");
  }
  const std::vector<Item> items = !raw.manifest.empty() ? FromManifest(raw)
                                  : !raw.suite.empty()  ? FromSuite(raw, batch)
                                                        : FromScripts(raw);
  Maker maker(raw, given, model, config, tokenizer, synthesiser, interrupt);
  for (const batch::Variant& variant : variants) {
    for (const Item& item : items) {
      if (interrupt) throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
      batch.dialogues.push_back(maker.Make(item, variant));
      const BatchDialogue& dialogue = batch.dialogues.back();
      int64_t prompt_steps = 0;
      for (const AgentSide& side : dialogue.agents) {
        prompt_steps = std::max(prompt_steps, side.prompt->steps);
      }
      batch.plan.push_back({.id = dialogue.id,
                            .key = dialogue.key,
                            .frames = prompt_steps + dialogue.frames,
                            .slots = static_cast<int>(dialogue.agents.size()),
                            .outputs = OutputPaths(dialogue)});
    }
  }
  batch::CheckPlan(batch.plan);
  CheckInputsStay(batch);
  std::sort(batch.shared_files.begin(), batch.shared_files.end());
  batch.shared_files.erase(std::unique(batch.shared_files.begin(), batch.shared_files.end()),
                           batch.shared_files.end());
  return batch;
}

}  // namespace ppx::app
