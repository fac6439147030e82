#include "annotate/segments.h"

#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::annotate {
namespace {

using base::Segment;

void CheckSame(const std::vector<Segment>& actual, const std::vector<Segment>& expected) {
  REQUIRE(actual.size() == expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    CAPTURE(i);
    CHECK(actual[i].start_s == expected[i].start_s);
    CHECK(actual[i].end_s == expected[i].end_s);
  }
}

TEST_CASE("samples to seconds") {
  const std::vector<SampleSegment> segments{{0, 12000}, {24001, 48000}};
  CheckSame(ToSeconds(segments, 24000), {{0, 0.5}, {24001.0 / 24000, 2.0}});
  CHECK(testing::ErrorOf([&] { ToSeconds(segments, 0); }).code == base::ErrorCode::kInternal);
}

TEST_CASE("tenths are those of the exact decimal, and ends stay within the audio") {
  // 0.25 and 0.75 are exact: to even. 0.35 lies below 0.35, 0.45 above it; 10 * 0.35 is 3.5 though.
  const std::vector<Segment> segments{{0.25, 0.35}, {0.45, 0.75}, {1.05, 1.15}, {2.0, 2.345}};
  CheckSame(RoundedToTenths(segments, 2.345), {{0.2, 0.3}, {0.5, 0.8}, {1.1, 1.1}, {2.0, 2.3}});
  CheckSame(RoundedToTenths(std::vector<Segment>{{0.04, 1.478}}, 1.47825), {{0.0, 1.47825}});
}

}  // namespace
}  // namespace ppx::annotate
