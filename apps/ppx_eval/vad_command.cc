#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "audio/resampler.h"
#include "audio/wav_reader.h"
#include "ppx_eval/commands.h"
#include "ppx_eval/detectors.h"
#include "torchscript/silero_vad.h"

namespace ppx::app {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string wav;
  int channel = 0;
  bool probabilities = false;
  bool json = false;
  DetectorOptions detector;
};

base::ExitCode Run(const Options& options) {
  const auto vad = MakeVad(options.detector);
  const base::Audio audio = audio::ReadAudio(options.wav, options.channel);
  const auto segments = vad->Detect(audio);
  if (!options.json && !options.probabilities) {
    for (const base::Segment& segment : segments) {
      fmt::print("{:10.3f} {:10.3f}\n", segment.start_s, segment.end_s);
    }
    return base::ExitCode::kOk;
  }
  Json json{{"file", options.wav},
            {"duration_s", audio.duration_s()},
            {"detector", vad->identity().name},
            {"segments", Json::array()}};
  for (const base::Segment& segment : segments) {
    json["segments"].push_back({segment.start_s, segment.end_s});
  }
  if (options.probabilities) {
    const auto* silero = dynamic_cast<const torchscript::SileroVad*>(vad.get());
    if (silero == nullptr) base::ThrowUsage("--probabilities: only the silero detector has them");
    json["window_s"] = vad->step_s();
    json["probabilities"] =
        silero->Probabilities(audio::Resample(audio, torchscript::SileroVad::kRateHz).samples);
  }
  std::cout << json.dump(2) << "\n" << std::flush;
  return base::ExitCode::kOk;
}

}  // namespace

Command AddVad(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("WAV", options->wav, "Recording, any rate and format of libsndfile")->required();
  app.add_option("--channel", options->channel, "From 0")->check(CLI::NonNegativeNumber);
  app.add_flag("--json", options->json,
               "JSON on standard output, in place of two columns of seconds");
  app.add_flag("--probabilities", options->probabilities,
               "With the probability of each window of 32 ms; implies --json");
  AddDetectorOptions(app, options->detector);
  return [options] { return Run(*options); };
}

}  // namespace ppx::app
