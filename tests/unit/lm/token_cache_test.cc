#include "lm/token_cache.h"

#include "base/error.h"
#include "support/doctest_torch.h"
#include "support/random_lm.h"

namespace ppx::lm {
namespace {

// Provides every stream of a frame with the token 100 * frame + stream, clipped to nothing.
int32_t Token(int64_t frame, int stream) {
  return static_cast<int32_t>(100 * (frame + 1) + stream);
}

TEST_CASE("streams come out together, each delayed on its way, for delays up to 2") {
  LmConfig config = test::SmallLmConfig();
  config.delays = {1, 0, 2, 2, 1, 0, 2, 1, 1};
  TokenCache cache(config);
  CHECK(cache.width() == 5);
  for (int64_t step = 0; step < 12; ++step) {
    for (int stream = 0; stream < config.streams(); ++stream)
      cache.Provide(stream, Token(step, stream));
    const bool runs = cache.Begin();
    CHECK(runs == (step > 0));
    if (!runs) continue;
    const FrameTokens input = cache.Input();
    for (int stream = 0; stream < config.streams(); ++stream) {
      // At time step-1 a stream carries frame step-1-delay; up to its delay, the initial token.
      const int delay = config.delays[static_cast<size_t>(stream)];
      const int64_t time = step - 1;
      const int32_t initial = stream == 0 ? config.text_card : config.card;
      CHECK(input[static_cast<size_t>(stream)] ==
            (time <= delay ? initial : Token(time - delay, stream)));
    }
    const auto frame = cache.Finish();
    CHECK(frame.has_value() == (step > 2));
    if (!frame) continue;
    for (int stream = 0; stream < config.streams(); ++stream) {
      CHECK((*frame)[static_cast<size_t>(stream)] == Token(step - 2, stream));
    }
  }
}

TEST_CASE("a sampled token is kept only where none was provided") {
  const LmConfig config = test::SmallLmConfig();
  TokenCache cache(config);
  const auto provide_user = [&](int32_t token) {
    for (int stream = 5; stream < 9; ++stream) cache.Provide(stream, token);
  };
  provide_user(1);
  CHECK_FALSE(cache.Begin());
  provide_user(2);
  cache.Provide(0, 7);
  CHECK(cache.Begin());
  CHECK(cache.IsProvided(0));
  CHECK(cache.IsProvided(2));        // the initial token of a delayed stream
  CHECK_FALSE(cache.IsProvided(1));  // not delayed: sampled at once
  cache.Put(0, 9);
  cache.Put(1, 9);
  CHECK(cache.At(0) == 7);
  CHECK(cache.At(1) == 9);
}

TEST_CASE("feeding a cell that nothing was written to is an error of the program") {
  TokenCache cache(test::SmallLmConfig());
  CHECK_FALSE(cache.Begin());
  CHECK_NOTHROW((void)cache.Input());
  CHECK(cache.Begin());
  cache.Finish();
  CHECK(cache.Begin());
  CHECK_THROWS_AS((void)cache.Input(), base::Error);
}

TEST_CASE("a restored cache goes on as the one it was saved from") {
  const LmConfig config = test::SmallLmConfig();
  TokenCache original(config);
  TokenCache restored(config);
  const auto step = [&](TokenCache& cache, int64_t frame) {
    for (int stream = 0; stream < config.streams(); ++stream) {
      cache.Provide(stream, static_cast<int32_t>(frame + stream) % config.card);
    }
    if (cache.Begin()) (void)cache.Finish();
  };
  for (int64_t frame = 0; frame < 7; ++frame) step(original, frame);
  restored.Restore(original.offset(), original.Cells());
  for (int64_t frame = 7; frame < 15; ++frame) {
    // Only the undelayed streams of this frame: delayed cells must still count as provided.
    for (TokenCache* cache : {&original, &restored}) {
      cache->Provide(0, 1);
      cache->Provide(1, static_cast<int32_t>(frame) % config.card);
      cache->Provide(5, 2);
      REQUIRE(cache->Begin());
    }
    for (int stream = 0; stream < config.streams(); ++stream) {
      CHECK(original.IsProvided(stream) == restored.IsProvided(stream));
      original.Put(stream, 3);
      restored.Put(stream, 3);
    }
    CHECK(original.Input() == restored.Input());
    CHECK(original.Finish() == restored.Finish());
  }
  CHECK_THROWS_AS(restored.Restore(3, std::vector<int64_t>(5)), base::Error);
  std::vector<int64_t> bad = original.Cells();
  bad[3] = 1000000;
  CHECK_THROWS_AS(restored.Restore(3, bad), base::Error);
}

}  // namespace
}  // namespace ppx::lm
