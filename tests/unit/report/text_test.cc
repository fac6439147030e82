#include "report/text.h"

#include "support/doctest.h"

namespace ppx::report {

TEST_CASE("text of unknown origin fits in a line") {
  CHECK(Printable("a\x1b[31m\r\n\tb\x7f") == "a [31m   b ");
  CHECK(Printable("\xc2\x9b") == " ");  // C1: another way to write an escape
  CHECK(Printable("a\xe2\x80\xae"
                  "b") == "a b");                    // right-to-left override
  CHECK(Printable("\xe2\x80\xa8") == " ");           // line separator
  CHECK(Printable("\xef\xbf\xbe") == " ");           // U+FFFE, which XML does not know
  CHECK(Printable("a\xff") == "a\xef\xbf\xbd");      // not UTF-8
  CHECK(Printable("a\xe6\x97") == "a\xef\xbf\xbd");  // cut off
  CHECK(Printable("\xed\xa0\x80").find('\xed') == std::string::npos);  // a surrogate
  CHECK(Printable("na\xc3\xafve \xe6\x97\xa5 \xf0\x9f\x98\x80") ==
        "na\xc3\xafve \xe6\x97\xa5 \xf0\x9f\x98\x80");
  CHECK(Printable("").empty());
}

TEST_CASE("width counts columns") {
  CHECK(DisplayWidth("") == 0);
  CHECK(DisplayWidth("abc") == 3);
  CHECK(DisplayWidth("na\xc3\xafve") == 5);
  CHECK(DisplayWidth("e\xcc\x81") == 1);                 // combining accent
  CHECK(DisplayWidth("\xe6\x97\xa5\xe6\x9c\xac") == 4);  // CJK
  CHECK(DisplayWidth("\xef\xbc\xa1") == 2);              // full-width A
  CHECK(DisplayWidth("\xf0\x9f\x98\x80") == 2);          // emoji
}

TEST_CASE("columns are aligned by width") {
  CHECK(AlignColumns({{"name", "n"}, {"\xe6\x97\xa5", "12"}, {"e\xcc\x81", "3"}}, 1, 2) ==
        "  name   n\n  \xe6\x97\xa5    12\n  e\xcc\x81      3\n");
  CHECK(AlignColumns({{"a\nb", "x"}}, 2, 0) == "a b  x\n");
  CHECK(AlignColumns({{"a", ""}}, 2, 0) == "a\n");  // no blanks at the end
  CHECK(AlignColumns({}, 1, 2).empty());
}

TEST_CASE("a Markdown cell stays a cell") {
  CHECK(EscapeMarkdown("a|b\nc") == "a\\|b c");
  CHECK(EscapeMarkdown("<b>&") == "&lt;b&gt;&amp;");
  CHECK(EscapeMarkdown("*x* _y_ `z` [l](u) ![i]") ==
        "\\*x\\* \\_y\\_ \\`z\\` \\[l\\](u) \\!\\[i\\]");
  CHECK(EscapeMarkdown("\\|") == "\\\\\\|");
  CHECK(MarkdownTable({{"a", "b"}, {"1", "x|y"}}) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n");
}

TEST_CASE("numbers for people") {
  CHECK(ShortNumber(std::nullopt) == "-");
  CHECK(ShortNumber(0.9084) == "0.908");
  CHECK(ShortNumber(-0.25) == "-0.250");
  CHECK(ShortNumber(0.0) == "0.000");
  CHECK(ShortNumber(-0.0) == "0.000");
  CHECK(ShortNumber(-0.00001) == "-1e-05");  // not a nothing
  CHECK(ShortNumber(1234.5678) == "1234.57");
  CHECK(ShortInterval(std::nullopt).empty());
  CHECK(ShortInterval(metrics::Interval{0.5, 1}) == "[0.500, 1.000]");
  CHECK(ShortP(std::nullopt).empty());
  CHECK(ShortP(0.0004) == "<0.001");
  CHECK(ShortP(0.0341) == "0.034");
}

}  // namespace ppx::report
