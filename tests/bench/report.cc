#include "bench/report.h"

#include <ATen/Version.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <numeric>

#include "common/version.h"
#include "engine/device.h"
#include "kernels/isa.h"

namespace ppx::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kGiga = 1e9;

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Json MillisecondsJson(const std::vector<double>& seconds) {
  const auto [low, high] = std::minmax_element(seconds.begin(), seconds.end());
  return {{"mean", Mean(seconds) * 1e3},
          {"median", Median(seconds) * 1e3},
          {"min", *low * 1e3},
          {"max", *high * 1e3}};
}

// The time that the machine needs at least: for reading or for computing, whichever is longer.
Json FloorJson(const Work& work, double seconds, double bandwidth, double matrix_rate) {
  const double reading = work.bytes() / bandwidth;
  const double computing = work.flops / matrix_rate;
  const double floor = std::max(reading, computing);
  Json json{{"ms", seconds * 1e3},
            {"weight_bytes", work.weight_bytes},
            {"state_bytes", work.state_bytes},
            {"flops", work.flops},
            {"floor_ms", floor * 1e3},
            {"floor", reading >= computing ? "bandwidth" : "arithmetic"},
            {"ratio_to_floor", nullptr},
            {"gb_per_s", work.bytes() / seconds / kGiga},
            {"gflop_per_s", work.flops / seconds / kGiga}};
  if (floor > 0) {
    json["ratio_to_floor"] = seconds / floor;
  } else {
    json["floor"] = nullptr;
  }
  return json;
}

// Of a weight of the language model, its scales included.
double WeightBytes(const BenchResult& result) {
  constexpr int64_t kSize = 4096;
  if (!result.form) return static_cast<double>(c10::elementSize(result.dtype));
  return static_cast<double>(kernels::PackedMatrix::Bytes(*result.form, kSize, kSize)) /
         (kSize * kSize);
}

// Where the processor's own rate is not known, LibTorch's largest product stands for it.
double CodecRate(const BenchResult& result) {
  return result.registers.f32.value_or(result.matrix_rate_f32);
}

double LmRate(const BenchResult& result) {
  const RegisterRates& registers = result.registers;
  if (result.form && *result.form != kernels::WeightForm::kF32 &&
      *result.form != kernels::WeightForm::kBf16 && registers.int8) {
    return *registers.int8;
  }
  return result.dtype == at::kBFloat16 ? registers.bf16.value_or(result.matrix_rate_bf16)
                                       : CodecRate(result);
}

std::string FormName(const BenchResult& result) {
  return result.form ? kernels::Name(*result.form) : engine::DtypeName(result.dtype);
}

Json InGigaOperations(const std::optional<double>& rate) {
  return rate ? Json(*rate / kGiga) : Json(nullptr);
}

double FramesPerSecond(const SlotsRun& run) { return run.times.slots / Mean(run.times.whole_s); }

Json RunJson(const BenchResult& result, const SlotsRun& run, const SlotsRun& first) {
  const double bandwidth = (run.bandwidth_before + run.bandwidth_after) / 2;
  const double frames_per_s = FramesPerSecond(run);
  Json stages;
  double floor_ms = 0;
  double staged_ms = 0;
  for (const Stage stage : kAllStages) {
    const Work work =
        StageWork(stage, result.config, run.times.slots, run.times.positions,
                  {WeightBytes(result), static_cast<double>(c10::elementSize(result.dtype))});
    const double seconds = Mean(run.times.stage_s[static_cast<size_t>(stage)]);
    stages[StageName(stage)] =
        FloorJson(work, seconds, bandwidth, IsCodec(stage) ? CodecRate(result) : LmRate(result));
    floor_ms += stages[StageName(stage)]["floor_ms"].get<double>();
    staged_ms += seconds * 1e3;
  }
  return {{"slots", run.times.slots},
          {"frames_per_s", frames_per_s},
          {"ratio_to_first", frames_per_s / FramesPerSecond(first)},
          {"real_time_streams", frames_per_s / result.config.mimi.frame_rate_hz},
          {"step_ms", MillisecondsJson(run.times.whole_s)},
          {"stages_ms", staged_ms},
          {"floor_ms", floor_ms},
          {"ratio_to_floor", Mean(run.times.whole_s) * 1e3 / floor_ms},
          {"stages", stages},
          {"positions", {{"lm", run.times.positions.lm}, {"codec", run.times.positions.codec}}},
          {"bandwidth_gb_s", {run.bandwidth_before / kGiga, run.bandwidth_after / kGiga}},
          {"minor_faults", run.times.minor_faults},
          {"major_faults", run.times.major_faults},
          {"anonymous_bytes", run.times.anonymous_bytes}};
}

std::string OneNumber(const Json& value) {
  return value.is_null() ? "-" : fmt::format("{:.2f}", value.get<double>());
}

// Small models are measured too: three digits count, whatever the size.
std::string InGigas(const Json& value) {
  return fmt::format("{:.3g}", value.get<double>() / kGiga);
}

}  // namespace

Json ToJson(const BenchResult& result) {
  Json json;
  json["bench_version"] = 2;
  json["program"] = "ppx-bench";
  json["version"] = app::kVersion;
  json["commit"] = app::kCommit;
  json["date"] = result.date;
  json["command"] = result.command;
  json["build"] = {{"compiler", PPX_BENCH_COMPILER},
                   {"type", PPX_BENCH_BUILD_TYPE},
                   {"flags", PPX_BENCH_FLAGS},
                   {"sanitized", PPX_BENCH_SANITIZED != 0}};
  json["libtorch"] = {{"version", TORCH_VERSION},
                      {"cpu_capability", result.machine.cpu_capability},
                      {"mkl", at::get_mkl_version()},
                      {"onednn", at::get_mkldnn_version()}};
  json["machine"] = {{"cpu", result.machine.cpu},
                     {"cores", result.machine.cores},
                     {"cpu_flags", result.machine.cpu_flags},
                     {"memory_bytes", result.machine.memory_bytes},
                     {"huge_pages", result.machine.huge_pages},
                     {"kernels", kernels::Name(kernels::CurrentIsa())},
                     {"device", result.device},
                     {"device_description", result.device_description}};
  json["threads"] = result.threads;
  json["model"] = {{"source", result.model},
                   {"dtype", engine::DtypeName(result.dtype)},
                   {"weights", FormName(result)},
                   {"dim", result.config.lm.dim},
                   {"layers", result.config.lm.num_layers},
                   {"depth_steps", result.config.lm.depth_steps()},
                   {"context", result.config.lm.context}};
  if (result.damage) json["quantisation"] = engine::ToJson(*result.damage);
  json["options"] = {{"frames", result.frames},
                     {"warm_up", result.warm_up},
                     {"context_fill", result.context_fill},
                     {"codec_fill", result.codec_fill}};

  std::vector<double> bandwidths;
  for (const SlotsRun& run : result.runs) {
    bandwidths.push_back(run.bandwidth_before / kGiga);
    bandwidths.push_back(run.bandwidth_after / kGiga);
  }
  const auto [low, high] = std::minmax_element(bandwidths.begin(), bandwidths.end());
  Json linear;
  linear["shape"] = {result.linear_shape.first, result.linear_shape.second};
  linear["weights"] = FormName(result);
  linear["libtorch_dtype"] = engine::DtypeName(result.dtype);
  for (const LinearRate& rate : result.linear) {
    linear["rows"].push_back({{"rows", rate.rows},
                              {"ms", rate.seconds * 1e3},
                              {"gb_per_s", rate.bytes_per_s / kGiga},
                              {"gflop_per_s", rate.operations_per_s / kGiga},
                              {"libtorch_ms", rate.libtorch_s * 1e3}});
  }
  json["rates"] = {
      {"bandwidth_gb_s", {{"min", *low}, {"median", Median(bandwidths)}, {"max", *high}}},
      {"register_gflop_s",
       {{"f32", InGigaOperations(result.registers.f32)},
        {"bf16", InGigaOperations(result.registers.bf16)},
        {"int8", InGigaOperations(result.registers.int8)}}},
      {"matrix_gflop_s",
       {{"size", result.matrix_size},
        {"f32", result.matrix_rate_f32 / kGiga},
        {"bf16", result.matrix_rate_bf16 / kGiga}}},
      {"linear", linear}};
  json["load_s"] = result.load_s;
  json["prefill"] = FloorJson(
      PrefillWork(result.config.lm, result.prefill_steps,
                  {WeightBytes(result), static_cast<double>(c10::elementSize(result.dtype))}),
      result.prefill_s, result.prefill_bandwidth, LmRate(result));
  json["prefill"]["steps"] = result.prefill_steps;
  for (const SlotsRun& run : result.runs) {
    if (run.times.slots != 1) continue;
    const double step_s = Mean(run.times.stage_s[static_cast<size_t>(Stage::kTemporal)]);
    json["prefill"]["times_faster_than_steps"] =
        step_s * static_cast<double>(result.prefill_steps) / result.prefill_s;
  }
  json["codec_pieces"] = {{"frames", result.piece_frames},
                          {"encode_ms_per_frame", result.pieces.encode_s * 1e3},
                          {"decode_ms_per_frame", result.pieces.decode_s * 1e3}};
  json["runs"] = Json::array();
  for (const SlotsRun& run : result.runs) {
    json["runs"].push_back(RunJson(result, run, result.runs.front()));
  }
  json["peak_memory_bytes"] = result.memory.peak_bytes;
  if (result.memory.device_peak_bytes > 0) {
    json["peak_device_memory_bytes"] = result.memory.device_peak_bytes;
  }
  return json;
}

std::string ToMarkdown(const Json& json) {
  const Json& machine = json["machine"];
  const Json& rates = json["rates"];
  const Json& matrix = rates["matrix_gflop_s"];
  const Json& registers = rates["register_gflop_s"];
  std::string page = fmt::format(
      "# ppx-bench {}\n\n"
      "{} {}, LibTorch {}, {} build by {}{}  \n"
      "{}, {} cores, {:.1f} GiB; {} threads; {} ({})  \n"
      "{}, weights {}, activations {}, {} frames after {} of warm-up, {} steps in the ring\n\n",
      json["date"].get<std::string>(), json["program"].get<std::string>(),
      json["commit"].get<std::string>(), json["libtorch"]["version"].get<std::string>(),
      json["build"]["type"].get<std::string>(), json["build"]["compiler"].get<std::string>(),
      json["build"]["sanitized"].get<bool>() ? ", SANITIZED: times mean nothing" : "",
      machine["cpu"].get<std::string>(), machine["cores"].get<int>(),
      machine["memory_bytes"].get<double>() / (1 << 30), json["threads"].get<int>(),
      machine["device"].get<std::string>(), machine["device_description"].get<std::string>(),
      json["model"]["source"].get<std::string>(), json["model"]["weights"].get<std::string>(),
      json["model"]["dtype"].get<std::string>(), json["options"]["frames"].get<int>(),
      json["options"]["warm_up"].get<int>(), json["options"]["context_fill"].get<int64_t>());
  const Json& bandwidth = rates["bandwidth_gb_s"];
  page += fmt::format(
      "Bandwidth {} GB/s ({} to {}); registers: f32 {}, bf16 {}, int8 {} billion operations a "
      "second; LibTorch's matrices of {}: f32 {}, bf16 {}. Loading {} s, peak memory {} GB.\n\n",
      OneNumber(bandwidth["median"]), OneNumber(bandwidth["min"]), OneNumber(bandwidth["max"]),
      OneNumber(registers["f32"]), OneNumber(registers["bf16"]), OneNumber(registers["int8"]),
      matrix["size"].get<int64_t>(), OneNumber(matrix["f32"]), OneNumber(matrix["bf16"]),
      OneNumber(json["load_s"]), InGigas(json["peak_memory_bytes"]));
  const Json& prefill = json["prefill"];
  const Json& pieces = json["codec_pieces"];
  page += fmt::format(
      "A prompt of {} steps: {} ms, {} times its floor. "
      "The codec, {} frames a call: encodes a frame in {} ms, decodes one in {} ms.\n\n",
      prefill["steps"].get<int64_t>(), OneNumber(prefill["ms"]),
      OneNumber(prefill["ratio_to_floor"]), pieces["frames"].get<int>(),
      OneNumber(pieces["encode_ms_per_frame"]), OneNumber(pieces["decode_ms_per_frame"]));

  if (json.contains("quantisation")) {
    const Json& damage = json["quantisation"];
    page += fmt::format(
        "Against weights in {}, over {} positions: cosine of the logits {:.4f} (text), {:.4f} "
        "(audio); the same likeliest token in {:.1f} % (text), {:.1f} % (audio).\n\n",
        damage["reference"].get<std::string>(), damage["positions"].get<int>(),
        damage["text_logit_cosine"].get<double>(), damage["audio_logit_cosine"].get<double>(),
        100 * damage["text_token_agreement"].get<double>(),
        100 * damage["audio_token_agreement"].get<double>());
  }

  page +=
      "## Steps\n\n| slots | frames/s | against the first | real-time streams | step ms | "
      "floor ms | times the floor | GB/s before, after | faults from disk |\n"
      "|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";
  for (const Json& run : json["runs"]) {
    page += fmt::format("| {} | {} | {} | {} | {} | {} | {} | {}, {} | {} |\n",
                        run["slots"].get<int>(), OneNumber(run["frames_per_s"]),
                        OneNumber(run["ratio_to_first"]), OneNumber(run["real_time_streams"]),
                        OneNumber(run["step_ms"]["mean"]), OneNumber(run["floor_ms"]),
                        OneNumber(run["ratio_to_floor"]), OneNumber(run["bandwidth_gb_s"][0]),
                        OneNumber(run["bandwidth_gb_s"][1]), run["major_faults"].get<int64_t>());
  }

  page +=
      "\n## Stages\n\n| slots | stage | ms | GB weights | GB keys and values | GFLOP | floor ms "
      "| times the floor | GB/s | GFLOP/s |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
  for (const Json& run : json["runs"]) {
    for (const auto& [name, stage] : run["stages"].items()) {
      page += fmt::format(
          "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", run["slots"].get<int>(), name,
          OneNumber(stage["ms"]), InGigas(stage["weight_bytes"]), InGigas(stage["state_bytes"]),
          InGigas(stage["flops"]), OneNumber(stage["floor_ms"]), OneNumber(stage["ratio_to_floor"]),
          OneNumber(stage["gb_per_s"]), OneNumber(stage["gflop_per_s"]));
    }
  }

  const Json& linear = rates["linear"];
  page += fmt::format(
      "\n## One product, [rows, {1}] times [{0}, {1}] in {2}\n\n"
      "| rows | ms | GB/s | GFLOP/s | LibTorch in {3}: ms | times ours |\n"
      "|--:|--:|--:|--:|--:|--:|\n",
      linear["shape"][0].get<int64_t>(), linear["shape"][1].get<int64_t>(),
      linear["weights"].get<std::string>(), linear["libtorch_dtype"].get<std::string>());
  for (const Json& row : linear["rows"]) {
    page += fmt::format("| {} | {} | {} | {} | {} | {:.2f} |\n", row["rows"].get<int>(),
                        OneNumber(row["ms"]), OneNumber(row["gb_per_s"]),
                        OneNumber(row["gflop_per_s"]), OneNumber(row["libtorch_ms"]),
                        row["libtorch_ms"].get<double>() / row["ms"].get<double>());
  }
  return page;
}

}  // namespace ppx::bench
