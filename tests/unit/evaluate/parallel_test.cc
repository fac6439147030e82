// The same work on several threads.
#include "evaluate/parallel.h"

#include <atomic>
#include <vector>

#include "base/error.h"
#include "support/doctest.h"

namespace ppx::evaluate {
namespace {

TEST_CASE("every item once, whatever the number of threads") {
  for (const int threads : {0, 1, 3, 64}) {
    std::vector<std::atomic<int>> seen(57);
    size_t last = 0;
    ForEachInParallel(
        seen.size(), threads, nullptr, [&](size_t i) { ++seen[i]; },
        [&](size_t n) {
          CHECK(n == last + 1);
          last = n;
        });
    for (const auto& count : seen) CHECK(count == 1);
    CHECK(last == seen.size());
  }
  ForEachInParallel(
      0, 4, nullptr, [](size_t) { FAIL("nothing to do"); }, [](size_t) {});
}

TEST_CASE("a failure ends the work and is thrown again") {
  std::atomic<int> done{0};
  const auto fail_at_five = [&](size_t i) {
    if (i == 5) base::ThrowBadInput("five");
    ++done;
  };
  CHECK_THROWS_WITH_AS(ForEachInParallel(10'000, 2, nullptr, fail_at_five, [](size_t) {}), "five",
                       base::Error);
  CHECK(done < 10'000);
}

TEST_CASE("a cancelled run is interrupted") {
  std::atomic<bool> cancel{false};
  try {
    ForEachInParallel(
        1000, 2, &cancel, [&](size_t i) { cancel = cancel || i == 10; }, [](size_t) {});
    FAIL("not interrupted");
  } catch (const base::Error& error) {
    CHECK(error.code() == base::ErrorCode::kInterrupted);
  }
}

}  // namespace
}  // namespace ppx::evaluate
