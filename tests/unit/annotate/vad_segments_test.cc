#include "annotate/vad_segments.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "annotate/segments.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::annotate {

// For doctest's messages.
static doctest::String toString(const SampleSegment& segment) {
  return doctest::toString(segment.start) + ".." + doctest::toString(segment.end);
}
static doctest::String toString(const std::vector<SampleSegment>& segments) {
  doctest::String text;
  for (const SampleSegment& segment : segments) text += toString(segment) + " ";
  return text;
}

namespace {

using testing::ErrorOf;
using Json = nlohmann::json;

Json Golden(const char* name) {
  return Json::parse(testing::ReadFile(std::string(PPX_SOURCE_DIR "/tests/golden/vad/") + name));
}

std::vector<SampleSegment> Samples(const Json& list) {
  std::vector<SampleSegment> segments;
  for (const Json& item : list) segments.push_back({item.at("start"), item.at("end")});
  return segments;
}

SegmentOptions Short() {
  SegmentOptions options;
  options.min_speech_ms = 60;
  options.min_silence_ms = 50;
  return options;
}

TEST_CASE("probability sequences of Silero's own function") {
  const Json cases = Golden("segmentation.json");
  REQUIRE_FALSE(cases.empty());
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i);
    const Json& item = cases.at(i);
    const auto probabilities = item.at("probs").get<std::vector<float>>();
    const int64_t samples = item.at("samples");
    const auto segments = SegmentsFromProbabilities(probabilities, samples, {});
    CHECK(segments == Samples(item.at("segments_samples")));
    CHECK(SegmentsFromProbabilities(probabilities, samples, Short()) ==
          Samples(item.at("segments_60_50")));

    const auto rounded =
        RoundedToTenths(ToSeconds(segments, 16000), static_cast<double>(samples) / 16000);
    const Json& expected = item.at("segments_seconds_0p1");
    REQUIRE(rounded.size() == expected.size());
    for (size_t k = 0; k < rounded.size(); ++k) {
      CHECK(rounded[k].start_s == expected[k].at("start").get<double>());
      CHECK(rounded[k].end_s == expected[k].at("end").get<double>());
    }
  }
}

TEST_CASE("the recordings' probabilities give their segments") {
  const Json recordings = Golden("expected.json");
  for (const auto& recording : recordings.items()) {
    const std::string& name = recording.key();
    const Json& item = recording.value();
    CAPTURE(name);
    const auto probabilities = item.at("probs").get<std::vector<float>>();
    const std::string wav = testing::ReadFile(PPX_SOURCE_DIR "/tests/golden/vad/wav/" + name);
    const auto samples = static_cast<int64_t>((wav.size() - 44) / 2);
    CHECK(SegmentsFromProbabilities(probabilities, samples, {}) ==
          Samples(item.at("segments_samples")));
    CHECK(SegmentsFromProbabilities(probabilities, samples, Short()) ==
          Samples(item.at("segments_v15")));
  }
}

TEST_CASE("a tracker can be asked at any time, and goes on") {
  const Json cases = Golden("segmentation.json");
  for (size_t i = 0; i < cases.size(); i += 7) {
    CAPTURE(i);
    const auto probabilities = cases.at(i).at("probs").get<std::vector<float>>();
    SegmentTracker tracker({});
    for (size_t k = 0; k < probabilities.size(); ++k) {
      tracker.Push(probabilities[k]);
      const auto samples = static_cast<int64_t>(512 * (k + 1));
      CHECK(tracker.Finish(samples) ==
            SegmentsFromProbabilities(std::span(probabilities).first(k + 1), samples, {}));
    }
    CHECK(tracker.Finish(cases.at(i).at("samples")) == Samples(cases.at(i).at("segments_samples")));
  }
}

// Windows of 1000 samples at 1 kHz: a window is a second.
SegmentOptions Coarse() {
  SegmentOptions options;
  options.min_speech_ms = 2000;
  options.min_silence_ms = 2000;
  options.pad_samples = 0;
  options.window_samples = 1000;
  options.rate_hz = 1000;
  return options;
}

TEST_CASE("speech must be longer than the minimum, silence need only reach it") {
  const std::vector<float> two{1, 1, 0, 0, 0, 0};
  CHECK(SegmentsFromProbabilities(two, 6000, Coarse()).empty());
  const std::vector<float> three{1, 1, 1, 0, 0, 0, 1, 1, 1, 1};
  CHECK(SegmentsFromProbabilities(three, 10000, Coarse()) ==
        std::vector<SampleSegment>{{0, 3000}, {6000, 10000}});
  // The pause ends a window before it would count.
  const std::vector<float> bridged{1, 1, 1, 0, 0, 1, 1, 1, 1, 1};
  CHECK(SegmentsFromProbabilities(bridged, 10000, Coarse()) ==
        std::vector<SampleSegment>{{0, 10000}});
}

TEST_CASE("the end of the audio ends speech, pending or not") {
  const std::vector<float> pending{1, 1, 1, 0};
  CHECK(SegmentsFromProbabilities(pending, 3500, Coarse()) ==
        std::vector<SampleSegment>{{0, 3500}});
  const std::vector<float> too_short{0, 0, 1, 0};
  CHECK(SegmentsFromProbabilities(too_short, 4000, Coarse()).empty());
  CHECK(SegmentsFromProbabilities(too_short, 3001, Coarse()).empty());
}

TEST_CASE("float32 0.35 is below the double 0.35, float32 0.5 is 0.5") {
  SegmentOptions options = Coarse();
  const std::vector<float> at_the_lower{0.5F, 0.5F, 0.5F, 0.35F, 0.35F, 0.35F, 0.35F};
  CHECK(SegmentsFromProbabilities(at_the_lower, 7000, options) ==
        std::vector<SampleSegment>{{0, 3000}});
  const std::vector<float> above{0.5F, 0.5F, 0.5F, 0.36F, 0.36F, 0.36F, 0.36F};
  CHECK(SegmentsFromProbabilities(above, 7000, options) == std::vector<SampleSegment>{{0, 7000}});
  // A pending end survives what is between the thresholds.
  const std::vector<float> between{1, 1, 1, 0, 0.4F, 0, 0};
  CHECK(SegmentsFromProbabilities(between, 7000, options) == std::vector<SampleSegment>{{0, 3000}});
}

TEST_CASE("padding stays within the audio, and neighbours share an odd gap by halves") {
  SegmentOptions options = Coarse();
  options.min_silence_ms = 0;
  options.pad_samples = 600;
  const std::vector<float> pair{0, 1, 1, 1, 0, 1, 1, 1, 1};
  CHECK(SegmentsFromProbabilities(pair, 8500, options) ==
        std::vector<SampleSegment>{{400, 4500}, {4500, 8500}});
  options.window_samples = 1001;
  const std::vector<float> whole{1, 1, 1, 0, 1, 1, 1};
  CHECK(SegmentsFromProbabilities(whole, 7007, options) ==
        std::vector<SampleSegment>{{0, 3503}, {3504, 7007}});
}

TEST_CASE("no windows, and a number of windows that does not fit") {
  CHECK(SegmentsFromProbabilities({}, 0, {}).empty());
  const std::vector<float> one{1};
  for (const int64_t samples : {int64_t{0}, int64_t{513}, int64_t{-1}}) {
    CHECK(ErrorOf([&] { SegmentsFromProbabilities(one, samples, {}); }).code ==
          base::ErrorCode::kInternal);
  }
  SegmentOptions bad;
  bad.window_samples = 0;
  CHECK(ErrorOf([&] { SegmentTracker tracker(bad); }).code == base::ErrorCode::kInternal);
  bad = {};
  bad.negative_threshold = 0.6;
  CHECK(ErrorOf([&] { SegmentTracker tracker(bad); }).code == base::ErrorCode::kInternal);
}

}  // namespace
}  // namespace ppx::annotate
