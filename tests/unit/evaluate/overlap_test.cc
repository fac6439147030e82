// A task of FullDuplexBench v1.5: timing lists, behaviour, speech before and after the overlap.
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "annotate/energy_vad.h"
#include "audio/wav_writer.h"
#include "evaluate/score.h"
#include "support/doctest.h"
#include "support/temp_dir.h"

namespace ppx::evaluate {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kRateHz = 16'000;

// A voice as a pulse train: pitch_hz[i] in stretch i.
struct Stretch {
  double start_s, end_s, pitch_hz, gain;
};

void WriteVoice(const std::string& path, const std::vector<Stretch>& stretches) {
  std::vector<float> samples(12 * kRateHz, 0.0F);
  for (const Stretch& stretch : stretches) {
    for (auto i = static_cast<size_t>(stretch.start_s * kRateHz);
         i < static_cast<size_t>(stretch.end_s * kRateHz); ++i) {
      const double phase = 2 * M_PI * stretch.pitch_hz * static_cast<double>(i) / kRateHz;
      for (int harmonic = 1; harmonic <= 6; ++harmonic) {
        samples[i] += static_cast<float>(stretch.gain * std::sin(harmonic * phase) / harmonic);
      }
    }
  }
  audio::WriteWav(path, {samples}, kRateHz, audio::SampleFormat::kPcm16);
}

Json Words(const std::vector<std::pair<double, double>>& times) {
  Json chunks = Json::array();
  for (const auto& [start_s, end_s] : times) {
    chunks.push_back({{"text", "word"}, {"timestamp", {start_s, end_s}}});
  }
  return {{"text", "words"}, {"chunks", chunks}};
}

// The agent speaks at `before_hz`, stops 0.4 s after the user begins at 4 s, goes on at 6.5 s with
// `after_hz`.
void WriteSample(const std::string& folder, double before_hz, double after_hz,
                 const std::string& label) {
  fs::create_directories(folder);
  WriteVoice(folder + "/input.wav", {{0.5, 1.5, 180, 0.1}, {4, 6, 180, 0.1}});
  WriteVoice(folder + "/output.wav", {{2, 4.4, before_hz, 0.1}, {6.5, 9, after_hz, 0.2}});
  WriteVoice(folder + "/clean_output.wav", {{2, 8, before_hz, 0.1}});
  const auto write = [&](const char* name, const Json& json) {
    testing::WriteFile(folder + "/" + name, json.dump());
  };
  write("output.json", Words({{2, 2.5}, {2.5, 4.4}, {6.5, 7}, {7, 7.5}, {7.5, 9}}));
  write("clean_output.json", Words({{2, 4}, {4, 8}}));
  write("metadata.json",
        {{"context_text", "c"}, {"current_turn_text", "t"}, {"timestamps", {4.0, 6.0}}});
  write("content_tag.json", {{"behaviour", Json::array({label})}});
}

const report::Metric& Find(const report::Results& results, const std::string& scorer,
                           const std::string& name) {
  for (const report::Metric& metric : results.metrics) {
    if (metric.scorer == scorer && metric.name == name) return metric;
  }
  FAIL("no metric " << scorer << " " << name);
  return results.metrics.front();
}

report::Results ScoreV15(const std::string& root) {
  const annotate::EnergyVad vad;
  base::NoProgress progress;
  ScoreOptions options;
  options.root = root;
  options.vad = &vad;
  options.progress = &progress;
  return Score(suite::LoadSuite(PPX_SOURCE_DIR "/eval/fdb-v1.5.yaml"), options);
}

TEST_CASE("timing, behaviour and speech of an overlap") {
  const testing::TempDir dir;
  const std::string task = dir.File("user_interruption/");
  WriteSample(task + "1", 120, 160, "C_RESPOND");
  WriteSample(task + "2", 122, 161, "C_RESPOND");
  WriteSample(task + "3", 118, 159, "C_RESUME");
  const report::Results results = ScoreV15(dir.path());
  for (const report::SampleRow& row : results.samples) {
    CAPTURE(row.reason);
    REQUIRE(row.scored);
  }
  const auto value = [&](const char* scorer, const char* name) {
    return Find(results, scorer, name).estimate.value.value();
  };
  constexpr double kGateS = 0.1;  // the energy gate's raster, padding and bias at both ends
  CHECK(std::abs(value("event", "stop_latency_s") - 0.4) < kGateS);
  CHECK(std::abs(value("event", "response_latency_s") - 0.5) < kGateS);
  CHECK(value("event", "talked_through") == 0);
  CHECK(std::abs(value("v15", "stop_interval_s") - 0.4) < kGateS);
  CHECK(std::abs(value("v15", "response_interval_s") - 0.5) < kGateS);
  // The user's first turn is answered at 2 s: two pairs a sample.
  CHECK(Find(results, "v15", "response_interval_s_pooled").estimate.n == 6);
  CHECK(value("judge", "behaviour_respond") == doctest::Approx(2.0 / 3));
  CHECK(value("judge", "behaviour_resume") == doctest::Approx(1.0 / 3));
  CHECK(value("judge", "behaviour_unknown") == 0);
  CHECK(std::abs(value("v15", "pitch_mean_hz_before") - 120) < 2);
  CHECK(std::abs(value("v15", "pitch_mean_hz_after") - 160) < 2);
  CHECK(std::abs(value("v15", "pitch_mean_hz_clean") - 120) < 2);
  CHECK(std::abs(value("v15", "intensity_mean_db_after") -
                 value("v15", "intensity_mean_db_before") - 6.02) < 0.7);
  CHECK(value("v15", "words_per_minute_before") == doctest::Approx(2 * 60 / 2.4));
  CHECK(value("v15", "words_per_minute_after") == doctest::Approx(3 * 60 / 2.5));

  bool found = false;
  for (const report::PairedTestRow& row : results.paired_tests) {
    if (row.name != "pitch_mean_hz" || row.comparison != "after - before") continue;
    found = true;
    CHECK(row.test.n_used == 3);
    CHECK(std::abs(row.test.mean_difference - 40) < 2);
    CHECK(row.p_holm.value() >= row.test.p.value());
  }
  CHECK(found);
}

TEST_CASE("without a clean pair the rest is scored") {
  const testing::TempDir dir;
  WriteSample(dir.File("user_interruption/1"), 120, 160, "C_UNKNOWN");
  fs::remove(dir.File("user_interruption/1/clean_output.wav"));
  const report::Results results = ScoreV15(dir.path());
  REQUIRE(results.samples.at(0).scored);
  CHECK(Find(results, "v15", "pitch_mean_hz_clean").estimate.statuses.at("no_clean_pair") == 1);
  CHECK(Find(results, "v15", "pitch_mean_hz_before").estimate.n == 1);
}

TEST_CASE("a label that is none of the four is unparsable, not a fifth") {
  const testing::TempDir dir;
  WriteSample(dir.File("background_speech/1"), 120, 160, "C_SOMETHING");
  const report::Results results = ScoreV15(dir.path());
  const auto& metric = Find(results, "judge", "behaviour_respond");
  CHECK(metric.estimate.n == 0);
  CHECK(metric.estimate.statuses.at("unparsable") == 1);
}

}  // namespace
}  // namespace ppx::evaluate
