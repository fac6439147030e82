// ppx-bench: what a step costs on this machine, part by part, against what it must cost.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "bench/report.h"
#include "common/console.h"
#include "common/program.h"
#include "engine/device.h"
#include "hub/model_files.h"
#include "rendering/model_options.h"
#include "support/seed.h"

namespace ppx::bench {
namespace {

struct Options {
  std::string model = "tiny";
  std::string dtype;
  std::string quantize;
  std::string device = "cpu";
  int threads = 0;
  std::vector<int> slots{1, 2, 4, 8};
  int frames = 10;
  int warm_up = 2;
  int64_t context_fill = 100;
  int64_t prompt_steps = 100;
  int piece_frames = 25;
  int64_t matrix_size = 4096;
  int64_t buffer_mib = 512;
  std::string json_path;
  std::string markdown_path;
  bool quiet = false;
};

void AddOptions(CLI::App& app, Options& options) {
  app.footer(
      "Examples:\n"
      "  ppx-bench --slots 1,2,4,8,16\n"
      "  ppx-bench --model checkpoint --quantize int8 --slots 1,8,24\n"
      "  ppx-bench --model checkpoint --dtype bf16 --json bench.json --markdown bench.md\n\n" +
      app::ExitCodeHelp());
  app.set_version_flag("--version", app::VersionText("ppx-bench"));
  app.option_defaults()->always_capture_default();
  constexpr int kMostFrames = 1 << 20;
  app.add_option("--model", options.model,
                 "Folder, hub name in the hub's cache, or a bundled checkpoint: mini, tiny");
  app.add_option("--dtype", options.dtype,
                 "f32 or bf16 for the language model (default: bf16 on CUDA, as stored on the CPU)")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--quantize", options.quantize,
                 "int8 or, on the CPU alone, int4: weights of the language model in fewer bits")
      ->check(CLI::IsMember({"int8", "int4"}));
  app.add_option("--device", options.device, "cpu, cuda or cuda:N");
  app.add_option("--threads", options.threads, "CPU threads; 0: all cores, one for a small model")
      ->check(CLI::Range(0, 1024));
  app.add_option("--slots", options.slots, "Numbers of slots, measured in this order")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  app.add_option("--frames", options.frames, "Frames measured, for each number of slots")
      ->check(CLI::Range(1, kMostFrames));
  app.add_option("--warm-up", options.warm_up, "Frames before that, thrown away")
      ->check(CLI::Range(0, kMostFrames));
  app.add_option("--context-fill", options.context_fill,
                 "Frames that each slot has seen before: what attention looks at")
      ->check(CLI::Range(0, kMostFrames));
  app.add_option("--prompt", options.prompt_steps, "Steps of the prompt that is timed")
      ->check(CLI::Range(1, kMostFrames));
  app.add_option("--piece", options.piece_frames, "Frames of the codec's longer calls")
      ->check(CLI::Range(1, kMostFrames));
  app.add_option("--matrix-size", options.matrix_size, "Rows of the square matrices")
      ->check(CLI::Range(1, 1 << 15));
  app.add_option("--buffer-mib", options.buffer_mib,
                 "Memory read for the bandwidth; more than the caches hold")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--json", options.json_path, "Write all results as JSON");
  app.add_option("--markdown", options.markdown_path, "Write the page that is printed");
  app.add_flag("--quiet", options.quiet, "Do not print the page");
}

// A step gives tokens once the delays between the streams have passed.
int64_t LeastFill(const lm::LmConfig& config) { return config.max_delay() + 2; }

StepPlan Plan(const Options& options, const engine::ModelConfig& config, int slots) {
  const int64_t fill = std::max(options.context_fill, LeastFill(config.lm));
  // More than the codec looks back over changes nothing.
  const int codec_frames = config.mimi.transformer.context / config.mimi.steps_per_frame();
  return {.slots = slots,
          .frames = options.frames,
          .warm_up = options.warm_up,
          .fill = std::min<int64_t>(fill, config.lm.context),
          .codec_fill = static_cast<int>(std::min<int64_t>(fill, codec_frames))};
}

BenchResult Measure(const Options& options, const std::vector<std::string>& command) {
  BenchResult result;
  result.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  result.command = command;
  app::ModelOptions model;
  model.model = options.model;
  model.quantize = options.quantize;
  const hub::ModelFiles files = app::FindModel(model, "", app::Warn);
  result.model = files.source;
  result.config = engine::ModelConfig::Read(files.config);
  const StepPlan plan = Plan(options, result.config, 1);
  const int64_t prompt_steps = std::clamp<int64_t>(
      options.prompt_steps, LeastFill(result.config.lm), result.config.lm.context);

  base::NoProgress no_progress;
  app::ProgressBar bar(0);
  base::Progress& progress = options.quiet ? static_cast<base::Progress&>(no_progress) : bar;
  progress.Begin("loading the model", 0);
  const std::string quantised_file = app::QuantisedFile(model, files, &app::Interrupted());
  const double load_begun = Now();
  const engine::Engine engine({files.config, files.moshi_weight, files.mimi_weight}, result.config,
                              {.device = options.device,
                               .dtype = options.dtype,
                               .quantize = options.quantize,
                               .quantised_file = quantised_file,
                               .max_steps = std::max(StepsNeeded(plan), prompt_steps),
                               .threads = options.threads});
  result.load_s = Now() - load_begun;
  progress.End();

  const at::Device device = engine.device();
  result.machine = ReadMachineFacts();
  result.device = device.str();
  result.device_description = engine::DeviceDescription(device);
  result.threads = at::get_num_threads();
  result.dtype = engine.dtype();
  result.form = engine.form();
  result.damage = engine.damage();
  result.frames = plan.frames;
  result.warm_up = plan.warm_up;
  result.context_fill = plan.fill;
  result.codec_fill = plan.codec_fill;

  progress.Begin("the machine", 0);
  const int64_t buffer_bytes = options.buffer_mib << 20;
  const Bandwidth bandwidth(device, buffer_bytes);
  result.matrix_size = options.matrix_size;
  result.matrix_rate_f32 = MatrixRate(device, at::kFloat, options.matrix_size);
  result.matrix_rate_bf16 = MatrixRate(device, at::kBFloat16, options.matrix_size);
  result.linear_shape = {int64_t{2} * result.config.lm.hidden(), result.config.lm.dim};
  if (device.is_cpu()) result.registers = MeasureRegisterRates(result.threads);
  result.linear = LinearRates(device, result.dtype, result.form, result.linear_shape.first,
                              result.linear_shape.second, options.slots, buffer_bytes);
  progress.End();

  progress.Begin("the prompt", 0);
  result.prefill_steps = prompt_steps;
  result.prefill_bandwidth = bandwidth.Measure();
  result.prefill_s = MeasurePrefill(engine, prompt_steps);
  result.piece_frames = options.piece_frames;
  result.pieces = MeasurePieces(engine, options.piece_frames);
  progress.End();

  progress.Begin("steps", static_cast<int64_t>(options.slots.size()));
  for (const int slots : options.slots) {
    if (app::Interrupted()) throw base::Error(base::ErrorCode::kInterrupted, "interrupted");
    SlotsRun run;
    run.bandwidth_before = bandwidth.Measure();
    run.times = MeasureSteps(engine, Plan(options, result.config, slots));
    run.bandwidth_after = bandwidth.Measure();
    result.runs.push_back(std::move(run));
    progress.Update(static_cast<int64_t>(result.runs.size()));
  }
  progress.End();
  result.memory = ReadMemoryUse(device);
  return result;
}

base::ExitCode Run(const Options& options, const std::vector<std::string>& command) {
  app::CatchSignals();
  // Found out now rather than after minutes.
  for (const std::string& path : {options.json_path, options.markdown_path}) {
    if (!path.empty()) base::CheckWritable(path);
  }
  const c10::InferenceMode guard;
  test::Seed(1);
  nlohmann::ordered_json json;
  try {
    json = ToJson(Measure(options, command));
  } catch (const c10::Error& error) {
    base::ThrowResource(fmt::format("{}: {}; with fewer --slots less memory is needed",
                                    options.device, error.what_without_backtrace()));
  }
  const std::string page = ToMarkdown(json);
  if (!options.json_path.empty()) {
    base::WriteFileAtomically(
        options.json_path,
        json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  }
  if (!options.markdown_path.empty()) base::WriteFileAtomically(options.markdown_path, page);
  if (!options.quiet) fmt::print("{}", page);
  return base::ExitCode::kOk;
}

}  // namespace
}  // namespace ppx::bench

int main(int argc, char** argv) {
  CLI::App app("Measures the machine, and what a step of the model costs on it.", "ppx-bench");
  ppx::bench::Options options;
  ppx::bench::AddOptions(app, options);
  const std::vector<std::string> command(argv, argv + argc);
  return ppx::app::RunProgram(app, argc, argv, [&] { return ppx::bench::Run(options, command); });
}
