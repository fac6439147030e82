#include "script/words.h"

#include "support/doctest.h"

namespace ppx::script {
namespace {

TEST_CASE("words as they are compared") {
  CHECK(NormalWord(" Sure!") == "sure");
  CHECK(NormalWord("\"Don't\",") == "don't");
  CHECK(NormalWord("...") == "");
  CHECK(NormalWord("") == "");
  CHECK(NormalWord("(\xC3\x84pfel)") == "\xC3\x84pfel");
  CHECK(NormalWord("42.") == "42");
  CHECK(NormalWords(" See  you,\nlater! ") == std::vector<std::string>{"see", "you", "later"});
  CHECK(NormalWords(" - ").empty());
  CHECK(NormalWords("").empty());
}

TEST_CASE("the nearest name") {
  const std::vector<std::string> names{"question", "hold_on", "hello"};
  CHECK(Nearest("qestion", names) == "question");
  CHECK(Nearest("helo", names) == "hello");
  CHECK(Nearest("holdon", names) == "hold_on");
  CHECK(Nearest("x", {}) == "");
}

}  // namespace
}  // namespace ppx::script
