#include "audio/framer.h"

#include <limits>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::audio {
namespace {

using testing::ErrorOf;

TEST_CASE("a partial frame counts, a full one gets no extra") {
  CHECK(FrameCount(0, 1920) == 0);
  CHECK(FrameCount(1, 1920) == 1);
  CHECK(FrameCount(1919, 1920) == 1);
  CHECK(FrameCount(1920, 1920) == 1);
  CHECK(FrameCount(1921, 1920) == 2);
  CHECK(FrameCount(std::numeric_limits<int64_t>::max(), 1) == std::numeric_limits<int64_t>::max());
  CHECK(FrameCount(std::numeric_limits<int64_t>::max(), 2) == int64_t{1} << 62);
}

TEST_CASE("padding appends zeros and changes nothing else") {
  CHECK(PadToFrames({}, 4).empty());
  CHECK(PadToFrames({1, 2, 3, 4}, 4) == std::vector<float>{1, 2, 3, 4});
  CHECK(PadToFrames({1, 2, 3, 4, 5}, 4) == std::vector<float>{1, 2, 3, 4, 5, 0, 0, 0});
  CHECK(PadToFrames({7}, 1) == std::vector<float>{7});
}

TEST_CASE("frames without a length are a bug of the caller") {
  CHECK(ErrorOf([] { FrameCount(5, 0); }).code == base::ErrorCode::kInternal);
  CHECK(ErrorOf([] { FrameCount(-1, 4); }).code == base::ErrorCode::kInternal);
  CHECK(ErrorOf([] { PadToFrames({1}, -4); }).code == base::ErrorCode::kInternal);
}

}  // namespace
}  // namespace ppx::audio
