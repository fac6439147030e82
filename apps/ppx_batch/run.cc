#include "ppx_batch/run.h"

#include <fmt/format.h>
#include <torch/headeronly/version.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <numeric>
#include <set>
#include <span>
#include <thread>

#include "base/command_template.h"
#include "base/user_folders.h"
#include "batch/journal_sink.h"
#include "batch/ledger.h"
#include "batch/merge.h"
#include "batch/plan_file.h"
#include "batch/scheduler.h"
#include "batch/shard.h"
#include "batch/slot_frames.h"
#include "batch/state_lock.h"
#include "batch/todo.h"
#include "batch/verify.h"
#include "common/console.h"
#include "common/measure.h"
#include "common/program.h"
#include "common/toolkit_files.h"
#include "common/version.h"
#include "engine/device.h"
#include "ppx_batch/engine_renderer.h"
#include "ppx_batch/finished_files.h"
#include "ppx_batch/requests.h"
#include "ppx_batch/watch.h"
#include "script/command_synthesiser.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

// System prompts whose computed state is kept. A suite has a few; each takes some hundred steps of
// keys and values.
constexpr int kPromptsKept = 8;
// More slots than this bring little on the device and make everyone wait longer.
constexpr int64_t kMostSlotsCpu = 32;
constexpr int64_t kMostSlotsGpu = 256;
// Of the free memory, for slots; the rest is for what a step computes on the way.
constexpr double kShareForSlots = 0.8;

std::vector<std::string> DeviceNames(const std::string& text) {
  if (text == "auto") return {AutoDevice()};
  if (text == "all") return engine::AllGpus();
  std::vector<std::string> names;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    names.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  for (const std::string& name : names) {
    if ((name == "cpu") != (names.front() == "cpu")) {
      base::ThrowUsage("--devices " + text + ": CPU and GPUs give other bytes; take one kind");
    }
  }
  return names;
}

batch::Shard ChosenShard(const RawOptions& raw) {
  if (!raw.shard.empty()) return batch::ParseShard(raw.shard, "--shard");
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
  const auto found = batch::ShardFromEnvironment(environment);
  if (!found) return {};
  if (!raw.quiet) {
    fmt::print(stderr, "shard {} (from {})\n", batch::ToText(found->shard), found->source);
  }
  return found->shard;
}

ModelIdentity Identify(const RawOptions& raw, const std::string& device) {
  ModelIdentity model;
  model.files = FindModel(raw, raw.voice_prompt_dir, Warn);
  model.moshi_sha256 = CachedSha256File(model.files.moshi_weight, &Interrupted());
  model.mimi_sha256 = CachedSha256File(model.files.mimi_weight, &Interrupted());
  model.tokenizer_sha256 = CachedSha256File(model.files.tokenizer, &Interrupted());
  if (!model.files.config.empty()) {
    model.config_sha256 = CachedSha256File(model.files.config, &Interrupted());
  }
  model.device = device.substr(0, device.find(':'));
  return model;
}

// A device of the batch: its engine, made once, and what its time went to.
struct BatchDevice {
  std::string name;
  std::unique_ptr<engine::Engine> engine;
  StageSeconds seconds;
};

int64_t GivenSlots(const std::string& text) {
  if (text == "auto") return 0;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr int64_t kMost = 4096;
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kMost) {
    base::ThrowUsage(fmt::format("--batch {}: expected auto or 1 to {}", text, kMost));
  }
  return value;
}

// What the prompts that an engine keeps take of its memory, at most.
int64_t PromptBytes(const Batch& batch, std::span<const size_t> todo, const lm::LmModel& model) {
  std::set<const PromptSource*> prompts;
  int64_t longest = 0;
  for (const size_t index : todo) {
    for (const AgentSide& side : batch.dialogues[index].agents) {
      prompts.insert(side.prompt.get());
      longest = std::max(longest, side.prompt->steps);
    }
  }
  return std::min<int64_t>(kPromptsKept, std::ssize(prompts)) *
         model.StateBytesPerSlot(std::max<int64_t>(longest, 1));
}

// How many of a device's slots, at most `most`, fit into so much of its memory.
int64_t FittingSlots(const batch::Plan& plan, const engine::Engine& engine, int64_t bytes,
                     size_t devices, int64_t most) {
  std::vector<size_t> all(plan.size());
  std::iota(all.begin(), all.end(), size_t{0});
  int64_t fitting = 0;
  for (const int64_t frames : batch::SlotFrames(plan, all, devices, static_cast<int>(most))) {
    bytes -= engine.BytesPerSlot(frames);
    if (bytes < 0) break;
    ++fitting;
  }
  return fitting;
}

// How many slots each device gets. On a GPU it is part of what determines the bytes: the same for
// all shards of a plan on equal machines, and for a run that continues another.
int64_t ChooseSlots(const RawOptions& raw, const batch::Plan& plan, const batch::Ledger& ledger,
                    const engine::Engine& engine, int64_t free_bytes, size_t devices) {
  const std::optional<int> before =
      engine.device().is_cuda() ? ledger.last_capacity() : std::nullopt;
  if (const int64_t given = GivenSlots(raw.batch); given > 0) {
    if (before && *before != given) {
      Warn(fmt::format(
          "what is done was rendered {} at a time, the rest will be {} at a time: a dialogue's "
          "last bits may depend on it",
          *before, given));
    }
    return given;
  }
  const auto bytes = static_cast<int64_t>(static_cast<double>(free_bytes) * kShareForSlots);
  if (before) {
    const int64_t fitting = FittingSlots(plan, engine, bytes, devices, *before);
    if (fitting < *before) {
      Warn(fmt::format("{} dialogues at once, as before, may not fit into the memory; --batch {}",
                       *before, std::max<int64_t>(fitting, 1)));
    }
    return *before;
  }
  int64_t wanted = 0;
  int64_t least = 1;
  for (const batch::PlannedDialogue& dialogue : plan) {
    wanted += dialogue.slots;
    least = std::max<int64_t>(least, dialogue.slots);
  }
  const auto share = static_cast<int64_t>(devices);
  wanted = std::min((wanted + share - 1) / share,
                    engine.device().is_cuda() ? kMostSlotsGpu : kMostSlotsCpu);
  return std::max(FittingSlots(plan, engine, bytes, devices, wanted), least);
}

void LinkShared(const Batch& batch, const std::string& data) {
  for (const std::string& name : batch.shared_files) {
    Link(fs::path(data) / name, fs::path(batch.output_folder) / name);
  }
}

Json DeviceJson(const BatchDevice& device, const batch::DeviceStats& stats) {
  const double busy = stats.step_s + stats.start_s + stats.finish_s + stats.overhead_s;
  return {{"name", stats.name},
          {"description", engine::DeviceDescription(device.engine->device())},
          {"dtype", engine::DtypeName(device.engine->dtype())},
          {"slots", stats.slots},
          {"step_downs", stats.step_downs},
          {"steps", stats.steps},
          {"slot_use", stats.slot_steps_possible == 0
                           ? 0.0
                           : static_cast<double>(stats.slot_steps) /
                                 static_cast<double>(stats.slot_steps_possible)},
          {"seconds",
           {{"prompt", device.seconds.prompt},
            {"encode", device.seconds.encode},
            {"language_model", device.seconds.step},
            {"decode", device.seconds.decode},
            {"start", stats.start_s},
            {"step", stats.step_s},
            {"finish", stats.finish_s},
            {"wait_for_inputs", stats.wait_load_s},
            {"wait_for_disk", stats.wait_write_s},
            {"scheduler", stats.overhead_s}}},
          {"scheduler_share", busy > 0 ? stats.overhead_s / busy : 0.0}};
}

// Failures as they come, for the summary.
class Watch final : public batch::BatchObserver {
 public:
  Watch(batch::BatchObserver& shown, const batch::Plan& plan) : shown_(shown), plan_(plan) {}

  void Progress(const batch::BatchSnapshot& snapshot) override {
    last_ = snapshot;
    shown_.Progress(snapshot);
  }
  void SteppedDown(const std::string& device, int from_slots, int to_slots, size_t dropped,
                   const std::string& why) override {
    shown_.SteppedDown(device, from_slots, to_slots, dropped, why);
  }
  void Failed(size_t index, const std::string& error) override {
    failures_.push_back({{"id", plan_[index].id}, {"error", error}});
    shown_.Failed(index, error);
  }

  const batch::BatchSnapshot& last() const { return last_; }
  const Json& failures() const { return failures_; }

 private:
  batch::BatchObserver& shown_;
  const batch::Plan& plan_;
  batch::BatchSnapshot last_;
  Json failures_ = Json::array();
};

std::string SummaryName(const batch::Shard& shard) {
  return shard.count == 1 ? "summary.json"
                          : fmt::format("summary.{}-of-{}.json", shard.index, shard.count);
}

void PrintTodo(const Batch& batch, const batch::TodoList& list, const batch::Shard& shard) {
  fmt::print("{} dialogues planned, {} done before, {} to do", batch.plan.size(), list.done,
             list.todo.size());
  if (shard.count > 1) fmt::print(", {} in other shards", list.other_shards);
  fmt::print("\n");
  const auto line = [](size_t count, const char* what) {
    if (count > 0) fmt::print("  {} {}\n", count, what);
  };
  line(list.failed_before, "failed the last time");
  line(list.old_key, "done with other inputs or settings, to be done again");
  line(list.damaged, "done, but their files are missing or changed");
}

std::string RunFacts(const batch::Shard& shard, const std::vector<std::string>& devices,
                     int64_t slots, size_t todo) {
  return Json{{"program", "ppx-batch"},
              {"version", kVersion},
              {"commit", kCommit},
              {"libtorch", TORCH_VERSION},
              {"shard", batch::ToText(shard)},
              {"devices", devices},
              {"slots", slots},
              {"to_do", todo},
              {"unix_time", std::chrono::duration_cast<std::chrono::seconds>(
                                std::chrono::system_clock::now().time_since_epoch())
                                .count()}}
      .dump();
}

}  // namespace

base::ExitCode Render(const CLI::App& app, const RawOptions& raw) {
  const auto begun = Clock::now();
  CatchSignals();
  CheckRaw(raw);
  GivenSlots(raw.batch);
  const bool silent = raw.quiet || raw.json || raw.json_progress;
  const batch::Shard shard = ChosenShard(raw);
  const std::vector<std::string> device_names = DeviceNames(raw.devices);
  for (const std::string& name : device_names) engine::OpenDevice(name);

  // What is asked for.
  base::NoProgress no_progress;
  ProgressBar bar(0);
  base::Progress& stage = silent ? static_cast<base::Progress&>(no_progress) : bar;
  stage.Begin("reading model and inputs", 0);
  const ModelIdentity model = Identify(raw, device_names.front());
  const engine::ModelConfig config =
      engine::ModelConfig::Read(model.files.config, ParseContext(raw.context));
  const text::Tokenizer tokenizer = text::Tokenizer::Load(model.files.tokenizer);
  const auto given = [&app](const char* name) { return app.get_option(name)->count() > 0; };
  std::optional<script::CommandSynthesiser> synthesiser;
  if (!raw.speak.empty()) {
    script::SynthesiserOptions speak;
    speak.command = base::SplitCommand(raw.speak, "--speak");
    speak.timeout_s = raw.speak_timeout_s;
    speak.cache_folder = base::ToolkitCache().string();
    speak.cancel = &Interrupted();
    synthesiser.emplace(speak);
  }
  const Batch batch = MakeBatch(raw, given, model, config, tokenizer,
                                synthesiser ? &*synthesiser : nullptr, Interrupted());
  stage.End();
  for (const std::string& note : batch.notes) Warn(note);
  if (raw.dry_run) {
    const batch::Ledger ledger = batch::Ledger::Read(batch::StateFolder(batch.output_folder));
    PrintTodo(batch,
              batch::Todo(batch.plan, ledger, shard, batch.output_folder,
                          raw.verify ? batch::CheckFiles::kHash : batch::CheckFiles::kSize,
                          &Interrupted()),
              shard);
    return base::ExitCode::kOk;
  }

  // What of it is to be done.
  const std::string state = batch::MakeStateFolder(batch.output_folder);
  std::optional<batch::StateLock> lock;
  const bool locked = raw.lock != "none";
  if (locked) {
    lock.emplace(state, shard, raw.lock == "wait" ? batch::WhenBusy::kWait : batch::WhenBusy::kFail,
                 &Interrupted(), [&] {
                   fmt::print(stderr, "{}: another process is at these dialogues; waiting\n",
                              batch.output_folder);
                 });
  }
  batch::WriteStateFile(state, batch::kPlanName, batch::PlanText(batch.plan), locked);
  const batch::Ledger ledger = batch::Ledger::Read(state);
  for (const std::string& damage : ledger.damage()) Warn("the journal is damaged: " + damage);
  const batch::TodoList list =
      batch::Todo(batch.plan, ledger, shard, batch.output_folder,
                  raw.verify ? batch::CheckFiles::kHash : batch::CheckFiles::kSize, &Interrupted());
  if (!silent) PrintTodo(batch, list, shard);
  batch::RemoveLeftOvers(batch.plan, list.todo, batch.output_folder);
  batch::JournalWriter journal((fs::path(state) / batch::JournalName(shard)).string(),
                               ledger.next_seq());
  journal.Redo(list.damaged_ids);
  if (!raw.suite.empty() && !raw.output_dir.empty() && !raw.no_links) LinkShared(batch, raw.data);

  // Engines, and how many dialogues at once.
  std::vector<BatchDevice> devices(list.todo.empty() ? 0 : device_names.size());
  int64_t slots = 0;
  double model_s = 0;
  if (!devices.empty()) {
    stage.Begin("loading the model", 0);
    const auto load_begun = Clock::now();
    const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    const auto count = static_cast<int>(devices.size());
    for (size_t i = 0; i < devices.size(); ++i) {
      devices[i].name = device_names[i];
      const bool shares_cpu = count > 1 && device_names[i] == "cpu" && raw.threads == 0;
      devices[i].engine = std::make_unique<engine::Engine>(
          engine::EngineFiles{model.files.config, model.files.moshi_weight,
                              model.files.mimi_weight},
          config,
          engine::EngineOptions{.device = device_names[i],
                                .dtype = raw.dtype,
                                .quantize = raw.quantize,
                                .quantised_file = QuantisedFile(raw, model.moshi_sha256),
                                .slots = 0,
                                .cpu_offload = raw.cpu_offload,
                                .threads = shares_cpu ? std::max(1, cores / count) : raw.threads,
                                .prompts_kept = kPromptsKept});
    }
    stage.End();
    model_s = SecondsSince(load_begun);
    const engine::Engine& first = *devices.front().engine;
    int64_t free_bytes = engine::FreeMemoryBytes(first.device());
    if (first.device().is_cpu()) free_bytes /= count;
    free_bytes -= PromptBytes(batch, list.todo, first.lm());
    slots = ChooseSlots(raw, batch.plan, ledger, first, free_bytes, devices.size());
  }
  journal.Run(RunFacts(shard, device_names, slots, list.todo.size()));

  RenderContext context{.dialogues = &batch.dialogues,
                        .config = &config,
                        .tokenizer = &tokenizer,
                        .synthesiser = synthesiser ? &*synthesiser : nullptr,
                        .output_folder = batch.output_folder};
  std::vector<batch::Device> batch_devices;
  for (BatchDevice& device : devices) {
    batch_devices.push_back(
        {.name = device.name,
         .slots = static_cast<int>(slots),
         .make = [&context,
                  &device](const std::vector<int64_t>& frames) -> std::unique_ptr<batch::Renderer> {
           engine::ConfigureArithmetic(device.engine->threads());
           return std::make_unique<EngineRenderer>(context, *device.engine, frames, device.seconds);
         }});
  }
  BatchWatch shown(batch.plan, config.mimi.frame_s(), !silent, raw.json_progress);
  Watch watch(shown, batch.plan);
  batch::JournalSink sink(batch.plan, ledger, journal);
  batch::BatchResult result;
  if (!devices.empty()) {
    result = batch::RunBatch(
        batch.plan, list.todo, [&context](size_t index) { return LoadInputs(context, index); },
        batch_devices, {.max_failures = raw.max_failures, .interrupt = &Interrupted()}, watch,
        sink);
  }

  const double real_time_factor = result.elapsed_s > 0 ? result.audio_s / result.elapsed_s : 0;
  Json summary{
      {"summary_version", 1},
      {"program", "ppx-batch"},
      {"version", kVersion},
      {"commit", kCommit},
      {"libtorch", TORCH_VERSION},
      {"output_folder", batch.output_folder},
      {"shard", batch::ToText(shard)},
      {"planned", batch.plan.size()},
      {"in_other_shards", list.other_shards},
      {"done_before", list.done},
      {"done", result.done},
      {"failed", result.failed},
      {"not_done", result.not_done},
      {"interrupted", result.interrupted},
      {"too_many_failures", result.too_many_failures},
      {"audio_s", result.audio_s},
      {"real_time_factor", real_time_factor},
      {"frames_per_second",
       result.elapsed_s > 0 ? static_cast<double>(watch.last().frames_stepped) / result.elapsed_s
                            : 0.0},
      {"seconds",
       {{"model", model_s},
        {"batch", result.elapsed_s},
        {"load_inputs", result.load_s},
        {"write_outputs", result.write_s},
        {"total", SecondsSince(begun)}}},
      {"peak_memory_bytes", PeakMemoryBytes()},
      {"devices", Json::array()},
      {"failures", watch.failures()}};
  for (size_t i = 0; i < result.devices.size(); ++i) {
    summary["devices"].push_back(DeviceJson(devices[i], result.devices[i]));
  }
  const std::string bytes = summary.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  // A run that finds nothing to do leaves the summary of the one that did it.
  if (!list.todo.empty()) {
    batch::WriteStateFile(state, SummaryName(shard), bytes, locked);
  }
  if (raw.json) {
    std::cout << bytes << std::flush;
  } else if (!raw.quiet && !raw.json_progress && !list.todo.empty()) {
    fmt::print(
        "{} done, {} failed, {} not done; {:.1f} s of dialogue in {:.1f} s ({:.2f}x real "
        "time), {} at once\n",
        result.done, result.failed, result.not_done, result.audio_s, result.elapsed_s,
        real_time_factor, slots);
  }
  if (result.interrupted) return base::ExitCode::kInterrupted;
  return result.failed > 0 ? base::ExitCode::kItemsFailed : base::ExitCode::kOk;
}

base::ExitCode VerifyFolder(const FolderOptions& options) {
  CatchSignals();
  const std::string state = batch::StateFolder(options.output_folder);
  if (!fs::is_directory(state)) {
    base::ThrowBadInput(options.output_folder + ": no journal in it; is it a folder of ppx-batch?");
  }
  const batch::Ledger ledger = batch::Ledger::Read(state);
  base::NoProgress no_progress;
  ProgressBar bar(0);
  const bool silent = options.quiet || options.json;
  base::Progress& progress = silent ? static_cast<base::Progress&>(no_progress) : bar;
  const batch::VerifyReport report =
      batch::Verify(options.output_folder, ledger, 0, progress, &Interrupted());
  if (options.json) {
    Json findings = Json::array();
    for (const auto& finding : report.findings) {
      findings.push_back(
          {{"id", finding.id}, {"path", finding.path}, {"problem", finding.problem}});
    }
    std::cout << Json{{"dialogues", report.dialogues}, {"files", report.files},
                      {"bytes", report.bytes},         {"ok", report.ok()},
                      {"findings", findings},          {"left_over", report.left_over},
                      {"damage", report.damage}}
                     .dump(2, ' ', false, Json::error_handler_t::replace)
              << "\n";
  } else if (!options.quiet) {
    for (const auto& finding : report.findings) {
      fmt::print("{}: {}: {}\n", finding.id, finding.path, finding.problem);
    }
    for (const std::string& path : report.left_over) fmt::print("left over: {}\n", path);
    for (const std::string& damage : report.damage) fmt::print("journal: {}\n", damage);
    fmt::print("{} dialogues, {} files: {}\n", report.dialogues, report.files,
               report.ok() ? "all as they were written" : "not all as they were written");
  }
  return report.ok() ? base::ExitCode::kOk : base::ExitCode::kItemsFailed;
}

base::ExitCode MergeJournals(const FolderOptions& options) {
  CatchSignals();
  const std::string state = batch::StateFolder(options.output_folder);
  if (!fs::is_directory(state)) {
    base::ThrowBadInput(options.output_folder + ": no journal in it; is it a folder of ppx-batch?");
  }
  const batch::StateLock lock(state, {}, batch::WhenBusy::kFail, &Interrupted());
  const batch::Plan plan = batch::ReadPlan(state);
  std::vector<std::string> others;
  for (const std::string& folder : options.others) others.push_back(batch::StateFolder(folder));
  const batch::MergeReport report = batch::Merge(state, others, plan);
  if (options.json) {
    Json gaps = Json::array();
    for (const batch::Gap& gap : report.gaps) {
      gaps.push_back({{"id", gap.id}, {"reason", gap.reason}});
    }
    std::cout << Json{{"journals", report.journals},
                      {"planned", report.planned},
                      {"done", report.done},
                      {"not_in_plan", report.not_in_plan},
                      {"gaps", gaps},
                      {"damage", report.damage}}
                     .dump(2, ' ', false, Json::error_handler_t::replace)
              << "\n";
  } else if (!options.quiet) {
    for (const batch::Gap& gap : report.gaps) fmt::print("{}: {}\n", gap.id, gap.reason);
    for (const std::string& damage : report.damage) fmt::print("journal: {}\n", damage);
    fmt::print("{} journals: {} of {} dialogues done, {} missing\n", report.journals, report.done,
               report.planned, report.gaps.size());
  }
  return report.gaps.empty() ? base::ExitCode::kOk : base::ExitCode::kItemsFailed;
}

}  // namespace ppx::app
