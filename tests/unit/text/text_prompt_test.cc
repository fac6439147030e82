#include "text/text_prompt.h"

#include "support/doctest.h"

namespace ppx::text {

TEST_CASE("tags are put around stripped text, once") {
  CHECK(WrapSystemTags("You sing.") == "<system> You sing. <system>");
  CHECK(WrapSystemTags(" \u00a0You sing.\n") == "<system> You sing. <system>");
  CHECK(WrapSystemTags(" <system> You sing. <system>\n") == "<system> You sing. <system>");
  CHECK(WrapSystemTags("<system>") == "<system>");
  // One tag of two is not a tagged prompt.
  CHECK(WrapSystemTags("<system> You sing.") == "<system> <system> You sing. <system>");
  CHECK(WrapSystemTags("You sing. <system>") == "<system> You sing. <system> <system>");
  CHECK(WrapSystemTags("You\nsing {}.") == "<system> You\nsing {}. <system>");
}

TEST_CASE("text with nothing in it has no tags and no ids") {
  CHECK(WrapSystemTags("").empty());
  CHECK(WrapSystemTags(" \t\n\u3000").empty());
  const auto tokenizer = Tokenizer::Load(PPX_SOURCE_DIR "/configs/tiny/tokenizer_spm.model");
  CHECK(EncodeTextPrompt(tokenizer, "").empty());
  CHECK(EncodeTextPrompt(tokenizer, " \n").empty());
}

TEST_CASE("a prompt that is tagged already gives the same ids") {
  const auto tokenizer = Tokenizer::Load(PPX_SOURCE_DIR "/configs/tiny/tokenizer_spm.model");
  const auto ids = EncodeTextPrompt(tokenizer, "You sing.");
  CHECK(ids.size() > 3);
  CHECK(EncodeTextPrompt(tokenizer, "<system> You sing. <system>\n") == ids);
  CHECK(ids == tokenizer.Encode("<system> You sing. <system>"));
}

}  // namespace ppx::text
