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

TEST_CASE("a gap of exactly the limit is merged") {
  const std::vector<Segment> segments{{0, 1}, {1.5, 2}, {2.5000001, 3}, {2.9, 2.95}, {4, 5}};
  CheckSame(MergeGaps(segments, 0.5), {{0, 2}, {2.5000001, 3}, {4, 5}});
  CheckSame(MergeGaps(segments, 10), {{0, 5}});
  CheckSame(MergeGaps({}, 0.5), {});
}

TEST_CASE("scaling, length and what two have in common") {
  const std::vector<Segment> segments{{1, 2}, {3, 3.5}};
  CheckSame(ScaleTimes(segments, 1.5), {{1.5, 3}, {4.5, 5.25}});
  CHECK(TotalSeconds(segments) == 1.5);
  CHECK(TotalSeconds({}) == 0);
  CHECK(!Intersection({1, 2}, {2, 3}));
  CHECK(!Intersection({1, 2}, {3, 4}));
  const auto common = Intersection({1, 4}, {2, 3});
  REQUIRE(common);
  CHECK(common->start_s == 2);
  CHECK(common->end_s == 3);
}

}  // namespace
}  // namespace ppx::annotate
