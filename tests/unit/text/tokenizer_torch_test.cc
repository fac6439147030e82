// Both libraries hold a protobuf; where they share symbols, the program dies before main or in the
// second tokenizer call.
#include <thread>

#include "support/doctest_torch.h"
#include "text/text_prompt.h"
#include "text/tokenizer.h"

namespace ppx::text {

TEST_CASE("the tokenizer works before and after LibTorch, in one program") {
  const auto tokenizer = Tokenizer::Load(PPX_SOURCE_DIR "/configs/tiny/tokenizer_spm.model");
  const auto before = EncodeTextPrompt(tokenizer, "You enjoy having a good conversation.");
  REQUIRE(before.size() > 3);

  const at::Tensor left = at::arange(6, at::kFloat).view({2, 3});
  const at::Tensor product = at::matmul(left, left.t());
  CHECK(product[0][0].item<float>() == 5.0F);
  CHECK(product[0][1].item<float>() == 14.0F);
  CHECK(product[1][1].item<float>() == 50.0F);

  CHECK(EncodeTextPrompt(tokenizer, "You enjoy having a good conversation.") == before);
  const auto again = Tokenizer::Load(PPX_SOURCE_DIR "/configs/tiny/tokenizer_spm.model");
  CHECK(EncodeTextPrompt(again, "You enjoy having a good conversation.") == before);
}

TEST_CASE("threads share a tokenizer while LibTorch works") {
  const auto tokenizer = Tokenizer::Load(PPX_SOURCE_DIR "/configs/tiny/tokenizer_spm.model");
  const auto expected = tokenizer.Encode("the voice of the model");
  std::vector<int> equal(2, 0);
  {
    std::vector<std::jthread> threads;
    for (int& count : equal) {
      threads.emplace_back([&count, &tokenizer, &expected] {
        for (int i = 0; i < 50; ++i)
          count += tokenizer.Encode("the voice of the model") == expected;
      });
    }
    for (int i = 0; i < 20; ++i) {
      const at::Tensor ones = at::ones({64, 64});
      CHECK(at::matmul(ones, ones)[0][0].item<float>() == 64.0F);
    }
  }
  CHECK(equal == std::vector<int>{50, 50});
}

}  // namespace ppx::text
