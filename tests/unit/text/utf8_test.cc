#include "text/utf8.h"

#include "support/doctest.h"

namespace ppx::text {

TEST_CASE("invalid UTF-8 becomes U+FFFD and valid text stays as it is") {
  const std::string valid("a\0\"\\\n \u00e9\u2581\U0001F600", 15);
  REQUIRE(valid.ends_with("\U0001F600"));
  CHECK(ReplaceInvalidUtf8(valid) == valid);
  CHECK(ReplaceInvalidUtf8("").empty());
  CHECK(ReplaceInvalidUtf8("a\xE2\x82z") == "a\uFFFDz");    // cut
  CHECK(ReplaceInvalidUtf8("\xE2\x82") == "\uFFFD");        // cut by the end
  CHECK(ReplaceInvalidUtf8("\x80x") == "\uFFFDx");          // nothing it goes on from
  CHECK(ReplaceInvalidUtf8("\xC0\xAF") == "\uFFFD\uFFFD");  // overlong '/'
  CHECK(ReplaceInvalidUtf8("\xFFz") == "\uFFFDz");
  CHECK(ReplaceInvalidUtf8("\xED\xA0\x80").find('\xED') == std::string::npos);  // a surrogate
}

TEST_CASE("stripping takes what Python's str.strip takes, at the ends only") {
  CHECK(StripWhitespace(" \t\r\n\v\f a b \x1c\x1d\x1e\x1f") == "a b");
  CHECK(StripWhitespace("\u00a0\u3000\u2003a\u2003b\u0085\u2028\u2029\u202f\u205f\u1680") ==
        "a\u2003b");
  CHECK(StripWhitespace("\u200b a \ufeff") == "\u200b a \ufeff");  // these are no whitespace
  CHECK(StripWhitespace(" \u3000 ").empty());
  CHECK(StripWhitespace("").empty());
  CHECK(StripWhitespace("\u00c5") == "\u00c5");  // ends in byte 0x85, which is no U+0085
}

TEST_CASE("every occurrence is replaced, once") {
  CHECK(ReplaceAll("", "ab", "x").empty());
  CHECK(ReplaceAll("ababab", "ab", "x") == "xxx");
  CHECK(ReplaceAll("aab-b", "ab", "") == "a-b");
  CHECK(ReplaceAll("\"a\"", "\"", "\"\"") == "\"\"a\"\"");
  CHECK(ReplaceAll("---->", "-->", "->") == "--->");
}

TEST_CASE("code points are counted, not bytes") {
  CHECK(CodePointCount("") == 0);
  CHECK(CodePointCount("a\u00e9\u2581\U0001F600") == 4);
}

}  // namespace ppx::text
