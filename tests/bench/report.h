// tests/bench/report.h: what was measured, as JSON and as a page for people.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/costs.h"
#include "bench/machine.h"
#include "bench/register_rate.h"
#include "bench/stages.h"
#include "engine/engine.h"

namespace ppx::bench {

// One number of slots. The bandwidth was measured right before and right after it.
struct SlotsRun {
  StepTimes times;
  double bandwidth_before = 0;  // bytes a second
  double bandwidth_after = 0;
};

struct BenchResult {
  // Header.
  std::string date;                  // ISO 8601, UTC
  std::vector<std::string> command;  // as it was called
  MachineFacts machine;
  std::string device;
  std::string device_description;
  int threads = 0;
  std::string model;
  at::ScalarType dtype = at::kFloat;
  // What the language model's matrices are packed in; nothing: tensors of `dtype`.
  std::optional<kernels::WeightForm> form;
  std::optional<engine::QuantisationDamage> damage;
  engine::ModelConfig config;
  int frames = 0;
  int warm_up = 0;
  int64_t context_fill = 0;
  int codec_fill = 0;

  // The machine. Operations a second.
  RegisterRates registers;
  double matrix_rate_f32 = 0;
  double matrix_rate_bf16 = 0;
  int64_t matrix_size = 0;
  std::vector<LinearRate> linear;
  std::pair<int64_t, int64_t> linear_shape;  // outputs, inputs

  // The model.
  double load_s = 0;
  int64_t prefill_steps = 0;
  double prefill_s = 0;
  double prefill_bandwidth = 0;  // measured right before
  int piece_frames = 0;
  PieceTimes pieces;
  std::vector<SlotsRun> runs;
  MemoryUse memory;
};

// The format is described in tests/bench/README.md.
nlohmann::ordered_json ToJson(const BenchResult& result);

// A page in Markdown, made of what ToJson gave.
std::string ToMarkdown(const nlohmann::ordered_json& json);

}  // namespace ppx::bench
