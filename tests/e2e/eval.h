// tests/e2e/eval.h: ppx-eval on suites that a test lays out.
#pragma once

#include <optional>
#include <string>

#include "e2e/files.h"

namespace ppx::test {

RunResult Eval(const Arguments& arguments, RunOptions options = {});

// Both channels of most samples here: half a minute of silence at 8 kHz with one burst of noise, so
// that the energy gate hears something. Written once a folder; samples link to it.
void WriteChannel(const std::string& path, double burst_start_s = 1, double burst_end_s = 3);

// A sample's folder with input.wav and output.wav linked to `channel`, and the JSON files given.
struct JsonFile {
  std::string name;
  nlohmann::json content;
};
void WriteSample(const std::string& folder, const std::string& channel,
                 const std::vector<JsonFile>& files);

// {"text", "chunks"} of words with start and end.
struct Spoken {
  std::string text;
  std::optional<double> start_s, end_s;
};
nlohmann::json Words(const std::vector<Spoken>& words);

// A cache for all cases of the program, removed with it.
const std::string& SharedCache();

// `score ROOT --suite SUITE` with the energy gate, the shared cache and a short bootstrap.
Arguments Score(const std::string& root, const std::string& suite = "fdb-v1.0");

// The value of a sample in results; null with its status where there is none.
nlohmann::json SampleValue(const nlohmann::json& results, const std::string& task,
                           const std::string& id, const std::string& scorer,
                           const std::string& name);
nlohmann::json MetricOf(const nlohmann::json& results, const std::string& task,
                        const std::string& scorer, const std::string& name);

}  // namespace ppx::test
