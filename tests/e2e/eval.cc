#include "e2e/eval.h"

#include <sndfile.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace ppx::test {

namespace fs = std::filesystem;
using Json = nlohmann::json;

RunResult Eval(const Arguments& arguments, RunOptions options) {
  return RunProgram(Arguments{PPX_EVAL} + arguments, CleanEnvironment(options));
}

void WriteChannel(const std::string& path, double burst_start_s, double burst_end_s) {
  constexpr int kRateHz = 8000;
  constexpr double kLengthS = 30;
  std::vector<float> samples(static_cast<size_t>(kLengthS * kRateHz), 0.0F);
  const std::vector<float> noise = Noise(samples.size());
  for (auto i = static_cast<size_t>(burst_start_s * kRateHz);
       i < static_cast<size_t>(burst_end_s * kRateHz); ++i) {
    samples[i] = noise[i];
  }
  WriteSound(path, {samples}, kRateHz, SF_FORMAT_WAV | SF_FORMAT_PCM_16);
}

void WriteSample(const std::string& folder, const std::string& channel,
                 const std::vector<JsonFile>& files) {
  fs::create_directories(folder);
  for (const char* name : {"input.wav", "output.wav"}) {
    fs::create_symlink(channel, fs::path(folder) / name);
  }
  for (const JsonFile& file : files) WriteBytes(folder + "/" + file.name, file.content.dump());
}

Json Words(const std::vector<Spoken>& words) {
  Json chunks = Json::array();
  std::string text;
  for (const Spoken& word : words) {
    const auto time = [](const std::optional<double>& t) { return t ? Json(*t) : Json(); };
    chunks.push_back({{"text", word.text}, {"timestamp", {time(word.start_s), time(word.end_s)}}});
    text += " " + word.text;
  }
  return {{"text", text}, {"chunks", chunks}};
}

const std::string& SharedCache() {
  static const Folder folder;
  return folder.path();
}

Arguments Score(const std::string& root, const std::string& suite) {
  return {"score",  root,      "--suite",     suite,         "--vad",
          "energy", "--cache", SharedCache(), "--resamples", "500"};
}

Json SampleValue(const Json& results, const std::string& task, const std::string& id,
                 const std::string& scorer, const std::string& name) {
  for (const Json& sample : results.at("samples")) {
    if (sample.at("task") != task || sample.at("id") != id) continue;
    for (const Json& value : sample.at("values")) {
      if (value.at("scorer") == scorer && value.at("name") == name) return value;
    }
  }
  throw std::runtime_error("no " + scorer + " " + name + " of " + task + "/" + id);
}

Json MetricOf(const Json& results, const std::string& task, const std::string& scorer,
              const std::string& name) {
  for (const Json& metric : results.at("metrics")) {
    if (metric.at("task") == task && metric.at("scorer") == scorer && metric.at("name") == name) {
      return metric;
    }
  }
  throw std::runtime_error("no metric " + task + " " + scorer + " " + name);
}

}  // namespace ppx::test
