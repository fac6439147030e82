// tests/e2e/files.h: files in a folder that goes away with the test, and arguments for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/run_program.h"

namespace ppx::test {

using Arguments = std::vector<std::string>;

inline Arguments operator+(Arguments left, const Arguments& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// A new folder, removed with all it holds.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // Names in it, sorted; hidden ones too.
  std::vector<std::string> Names() const;

 private:
  std::string path_;
};

// Environment for programs under test: without the user's settings, sanitizers told what they need.
RunOptions CleanEnvironment(RunOptions options);

std::string ReadBytes(const std::string& path);
void WriteBytes(const std::string& path, const std::string& bytes);
nlohmann::json ReadJson(const std::string& path);

// Noise at a quarter of full scale; another `seed`, other noise.
std::vector<float> Noise(size_t samples, unsigned seed = 1);

// Through libsndfile; `format` is its SF_FORMAT_* pair. All channels are of equal length.
void WriteSound(const std::string& path, const std::vector<std::vector<float>>& channels,
                int rate_hz, int format);
// A recording as the model takes it: 24 kHz, mono, float samples.
void WriteRecording(const std::string& path, const std::vector<float>& samples);

// The first channel, or the one named.
std::vector<float> ReadSamples(const std::string& path, int channel = 0);

// What a run that did not end with 0 said, for INFO().
std::string Told(const RunResult& result);

}  // namespace ppx::test
