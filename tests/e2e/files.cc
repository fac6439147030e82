#include "e2e/files.h"

#include <sndfile.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>

#include "audio/wav_reader.h"

namespace ppx::test {

namespace fs = std::filesystem;

Folder::Folder() {
  std::string pattern = (fs::temp_directory_path() / "ppx_e2e_XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp: " + pattern);
  path_ = pattern;
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::vector<std::string> Folder::Names() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path_)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

RunOptions CleanEnvironment(RunOptions options) {
  for (const char* name : {"PPX_MODEL", "PPX_DATA", "PPX_CACHE", "HF_HOME", "HF_HUB_CACHE",
                           "HUGGINGFACE_HUB_CACHE", "OMP_NUM_THREADS", "GITHUB_STEP_SUMMARY"}) {
    options.environment.emplace(name, std::nullopt);
  }
  // Threads that wait for each other actively take the processor from the tests running beside.
  options.environment.emplace("OMP_WAIT_POLICY", "PASSIVE");
  // For builds with sanitizers; a table of used suppressions would be taken for messages.
  options.environment.emplace("ASAN_OPTIONS", "detect_container_overflow=0");
  options.environment.emplace("LSAN_OPTIONS", "suppressions=" PPX_SOURCE_DIR
                                              "/tests/support/lsan.supp:print_suppressions=0");
  return options;
}

std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

nlohmann::json ReadJson(const std::string& path) { return nlohmann::json::parse(ReadBytes(path)); }

std::vector<float> Noise(size_t samples, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<float> noise(samples);
  for (float& sample : noise) {
    sample = static_cast<float>(static_cast<int>(generator() % 16385U) - 8192) / 32768.0F;
  }
  return noise;
}

void WriteSound(const std::string& path, const std::vector<std::vector<float>>& channels,
                int rate_hz, int format) {
  SF_INFO info{};
  info.samplerate = rate_hz;
  info.channels = static_cast<int>(channels.size());
  info.format = format;
  SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
  if (file == nullptr) throw std::runtime_error(path + ": " + sf_strerror(nullptr));
  std::vector<float> interleaved;
  for (size_t i = 0; i < channels[0].size(); ++i) {
    for (const auto& channel : channels) interleaved.push_back(channel[i]);
  }
  const auto count = static_cast<sf_count_t>(interleaved.size());
  const bool written = sf_write_float(file, interleaved.data(), count) == count;
  if (sf_close(file) != 0 || !written) throw std::runtime_error(path + ": cannot be written");
}

void WriteRecording(const std::string& path, const std::vector<float>& samples) {
  WriteSound(path, {samples}, 24000, SF_FORMAT_WAV | SF_FORMAT_FLOAT);
}

std::vector<float> ReadSamples(const std::string& path, int channel) {
  return audio::ReadAudio(path, channel).samples;
}

std::string Told(const RunResult& result) {
  return "exit code " + std::to_string(result.exit_code) +
         (result.timed_out ? ", killed after its time" : "") + "\nstdout: " + result.out +
         "\nstderr: " + result.err;
}

}  // namespace ppx::test
