#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "annotate/energy_vad.h"
#include "evaluate/selftest.h"
#include "ppx_eval/commands.h"
#include "ppx_eval/detectors.h"

namespace ppx::app {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const annotate::Vad& vad, const evaluate::DetectorError& error) {
  Json json{{"detector", vad.identity().name},
            {"version", vad.identity().version},
            {"step_s", vad.step_s()}};
  json.update(Json(evaluate::ToJson(error)));
  return json;
}

std::string Milliseconds(const std::optional<double>& seconds) {
  return seconds ? fmt::format("{:+8.1f}", *seconds * 1000) : fmt::format("{:>8}", "-");
}

void Print(const annotate::Vad& vad, const evaluate::DetectorError& error) {
  fmt::print("{:<8} {:>5.0f} {:>5}/{:<5} {:>5}  {} {} {}  {} {} {}\n", vad.identity().name,
             vad.step_s() * 1000, error.found, error.expected, error.extra,
             Milliseconds(error.onset_bias_s), Milliseconds(error.onset_sd_s),
             Milliseconds(error.onset_worst_s), Milliseconds(error.offset_bias_s),
             Milliseconds(error.offset_sd_s), Milliseconds(error.offset_worst_s));
}

struct Options {
  DetectorOptions detector;
  bool energy_only = false;
  bool json = false;
};

base::ExitCode Run(const Options& options) {
  const auto scenes = evaluate::SyntheticScenes();
  std::vector<std::unique_ptr<annotate::Vad>> detectors;
  if (!options.energy_only) detectors.push_back(MakeVad(options.detector));
  detectors.push_back(std::make_unique<annotate::EnergyVad>());
  Json all = Json::array();
  if (!options.json) {
    fmt::print("{} scenes with known speech; detected - true, milliseconds\n", scenes.size());
    fmt::print("{:<8} {:>5} {:>11} {:>5}  {:>26}  {:>26}\n", "", "", "", "", "onset", "offset");
    fmt::print("{:<8} {:>5} {:>11} {:>5}  {:>8} {:>8} {:>8}  {:>8} {:>8} {:>8}\n", "detector",
               "step", "found", "extra", "bias", "sd", "worst", "bias", "sd", "worst");
  }
  bool heard_all = true;
  for (const auto& vad : detectors) {
    const auto error = evaluate::MeasureDetector(*vad, scenes);
    heard_all = heard_all && error.found == error.expected;
    if (options.json) {
      all.push_back(ToJson(*vad, error));
    } else {
      Print(*vad, error);
    }
  }
  if (options.json) std::cout << all.dump(2) << "\n" << std::flush;
  return heard_all ? base::ExitCode::kOk : base::ExitCode::kItemsFailed;
}

}  // namespace

Command AddSelftest(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("--vad-model", options->detector.vad_model,
                 "silero_vad.jit; default: the one that scripts/setup fetched");
  app.add_flag("--energy-only", options->energy_only, "Without the model");
  app.add_flag("--json", options->json, "JSON on standard output");
  app.footer("Exit codes: 0 every stretch of speech was heard, 1 some were not");
  return [options] { return Run(*options); };
}

}  // namespace ppx::app
