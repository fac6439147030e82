#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "annotate/transcript.h"
#include "evaluate/audio_facts.h"
#include "evaluate/sample_scores.h"
#include "ppx_eval/commands.h"
#include "ppx_eval/detectors.h"

namespace ppx::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string agent, user, words;
  int agent_channel = 0;
  int user_channel = 0;
  bool json = false;
  DetectorOptions detector;
};

Json ToJson(const std::vector<base::Segment>& segments) {
  Json json = Json::array();
  for (const base::Segment& segment : segments) json.push_back({segment.start_s, segment.end_s});
  return json;
}

base::ExitCode Run(const Options& options) {
  const auto vad = MakeVad(options.detector);
  const evaluate::AudioAnalyst analyst(*vad, CacheFolder(options.detector));
  evaluate::SampleInputs inputs;
  inputs.agent = analyst.Analyse(options.agent, options.agent_channel);
  inputs.user = analyst.Analyse(options.user, options.user_channel);
  if (!options.words.empty()) inputs.words = annotate::ReadTranscript(options.words).chunks;
  suite::Task task;
  task.kind = suite::TaskKind::kChannels;
  const evaluate::SampleScores scores = evaluate::ScoreSample(task, inputs, {});
  if (options.json) {
    Json json{
        {"agent", options.agent},
        {"user", options.user},
        {"vad", vad->identity().name},
        {"duration_s", {{"agent", inputs.agent.duration_s()}, {"user", inputs.user->duration_s()}}},
        {"speech_s",
         {{"agent", ToJson(inputs.agent.speech)}, {"user", ToJson(inputs.user->speech)}}},
        {"flags", scores.flags}};
    Json& values = json["values"];
    for (const report::SampleValue& value : scores.values) {
      values[value.name] = {{"value", value.value ? Json(*value.value) : Json()},
                            {"unit", evaluate::UnitOf(value.name)},
                            {"status", value.status}};
    }
    std::cout << json.dump(2) << "\n" << std::flush;
    return base::ExitCode::kOk;
  }
  fmt::print("agent {} ({:.2f} s), user {} ({:.2f} s), speech by {}\n", options.agent,
             inputs.agent.duration_s(), options.user, inputs.user->duration_s(),
             vad->identity().name);
  for (const report::SampleValue& value : scores.values) {
    fmt::print("  {:<28} {:>12} {}\n", value.name,
               value.value ? fmt::format("{:.3f}", *value.value) : "-",
               value.value ? evaluate::UnitOf(value.name) : value.status);
  }
  for (const std::string& flag : scores.flags) fmt::print("  flag: {}\n", flag);
  return base::ExitCode::kOk;
}

}  // namespace

Command AddStats(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("AGENT", options->agent, "Recording of the agent")->required();
  app.add_option("USER", options->user, "Recording of the user, aligned with it")->required();
  app.add_option("--agent-channel", options->agent_channel, "From 0")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--user-channel", options->user_channel, "From 0")->check(CLI::NonNegativeNumber);
  app.add_option("--words", options->words, "The agent's words with times (output.json)");
  app.add_flag("--json", options->json, "JSON on standard output");
  AddDetectorOptions(app, options->detector);
  AddCacheOptions(app, options->detector);
  app.footer(
      "Example, a stereo file with the user left and the agent right:\n"
      "  ppx-eval stats stereo.wav stereo.wav --agent-channel 1 --user-channel 0");
  return [options] { return Run(*options); };
}

}  // namespace ppx::app
