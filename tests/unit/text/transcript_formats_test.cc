#include "text/transcript_formats.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/doctest.h"

namespace ppx::text {
namespace {

using Words = std::vector<base::TimedWord>;

const Words kHelloWorld = {{" Hello", 0.56, 0.8}, {" world!", 0.8, 1.04}};

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

bool Contains(const std::string& text, const std::string& part) { return Count(text, part) > 0; }

}  // namespace

TEST_CASE("frame texts are a JSON list as Python writes it") {
  CHECK(ToFrameTextJson({}) == "[]");
  CHECK(ToFrameTextJson({"PAD", " a\"\n\\", "\u2193"}) ==
        "[\"PAD\", \" a\\\"\\n\\\\\", \"\u2193\"]");
  CHECK(nlohmann::json::parse(ToFrameTextJson({"\xE2"})).at(0) == "\uFFFD");
}

TEST_CASE("benchmark JSON has the words, their joined text and times in milliseconds") {
  const auto json = nlohmann::json::parse(ToBenchmarkJson(kHelloWorld));
  CHECK(json == nlohmann::json::parse(R"({"text": "Hello world!", "chunks": [
    {"text": "Hello", "timestamp": [0.56, 0.8]}, {"text": "world!", "timestamp": [0.8, 1.04]}]})"));
  // The frame times are sums of 0.08 with all their rounding errors; they are printed short.
  const std::string text = ToBenchmarkJson({{"a", 7 * 0.08, 0.1 + 0.2}, {"b", 1.23456, 2}});
  CHECK(Contains(text, "0.56,"));
  CHECK(Contains(text, "1.235,"));
  CHECK(Contains(text, "2.0\n"));
  CHECK_FALSE(Contains(text, "00000"));
  CHECK(text.find("\"text\"") < text.find("\"chunks\""));
}

TEST_CASE("no words are valid files too") {
  CHECK(nlohmann::json::parse(ToBenchmarkJson({})) ==
        nlohmann::json::parse(R"({"text": "", "chunks": []})"));
  CHECK(ToSrt({}).empty());
  CHECK(ToWebVtt({}) == "WEBVTT\n\n");
  CHECK(ToCtm({}, "call", "1").empty());
  CHECK(Contains(ToTextGrid({}, 2), "intervals: size = 1\n"));
}

TEST_CASE("a simple transcript in each format") {
  CHECK(ToSrt(kHelloWorld) == "1\n00:00:00,560 --> 00:00:01,040\nHello world!\n\n");
  CHECK(ToWebVtt(kHelloWorld) == "WEBVTT\n\n00:00:00.560 --> 00:00:01.040\nHello world!\n\n");
  CHECK(ToCtm(kHelloWorld, "call", "A") == "call A 0.560 0.240 Hello\ncall A 0.800 0.240 world!\n");
  CHECK(ToTextGrid(kHelloWorld, 2.5) ==
        "File type = \"ooTextFile\"\n"
        "Object class = \"TextGrid\"\n"
        "\n"
        "xmin = 0\n"
        "xmax = 2.5\n"
        "tiers? <exists>\n"
        "size = 1\n"
        "item []:\n"
        "    item [1]:\n"
        "        class = \"IntervalTier\"\n"
        "        name = \"words\"\n"
        "        xmin = 0\n"
        "        xmax = 2.5\n"
        "        intervals: size = 4\n"
        "        intervals [1]:\n"
        "            xmin = 0\n"
        "            xmax = 0.56\n"
        "            text = \"\"\n"
        "        intervals [2]:\n"
        "            xmin = 0.56\n"
        "            xmax = 0.8\n"
        "            text = \"Hello\"\n"
        "        intervals [3]:\n"
        "            xmin = 0.8\n"
        "            xmax = 1.04\n"
        "            text = \"world!\"\n"
        "        intervals [4]:\n"
        "            xmin = 1.04\n"
        "            xmax = 2.5\n"
        "            text = \"\"\n");
}

TEST_CASE("clock times carry over, and pass the hundredth hour") {
  CHECK(Contains(ToSrt({{"a", 59.9996, 3599.9996}}), "00:01:00,000 --> 01:00:00,000"));
  CHECK(Contains(ToWebVtt({{"a", 360000.5, 360001}}), "100:00:00.500 --> 100:00:01.000"));
  CHECK(Contains(ToSrt({{"a", -0.08, 0.16}}), "00:00:00,000 --> 00:00:00,160"));
}

TEST_CASE("a cue lasts at least a millisecond, whatever the word's times are") {
  CHECK(Contains(ToWebVtt({{"a", 1, 1}}), "00:00:01.000 --> 00:00:01.001"));
  CHECK(Contains(ToWebVtt({{"a", 1, 0.5}}), "00:00:01.000 --> 00:00:01.001"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(Contains(ToSrt({{"a", nan, nan}}), "00:00:00,000 --> 00:00:00,001"));
  CHECK(Contains(ToCtm({{"a", 1, 0.5}}, "x", "1"), "x 1 1.000 0.000 a\n"));
}

TEST_CASE("a pause of more than 0.8 s begins a new cue") {
  CHECK(Count(ToSrt({{"a", 0, 0.2}, {"b", 1.0, 1.2}}), "-->") == 1);
  CHECK(Count(ToSrt({{"a", 0, 0.2}, {"b", 1.001, 1.2}}), "-->") == 2);
}

TEST_CASE("a cue spans 7 s at most") {
  Words words;
  for (int i = 0; i < 16; ++i) words.push_back({"a", i * 0.5, i * 0.5 + 0.5});
  const std::string srt = ToSrt(words);
  CHECK(Count(srt, "-->") == 2);
  CHECK(Contains(srt, "1\n00:00:00,000 --> 00:00:07,000\n"));
  CHECK(Contains(srt, "2\n00:00:07,000 --> 00:00:08,000\n"));
  CHECK(Count(ToSrt({{"long", 0, 9}, {"b", 9, 9.2}}), "-->") == 2);
}

TEST_CASE("a cue holds two lines of 42 characters, counted as characters") {
  Words words;
  // 14 words of two letters (of two bytes each) and 13 spaces are 41; the fifteenth begins a line.
  for (int i = 0; i < 29; ++i) words.push_back({" \u00e9\u00e9", i * 0.1, i * 0.1 + 0.1});
  std::string line = "\u00e9\u00e9";
  for (int i = 1; i < 14; ++i) line += " \u00e9\u00e9";
  CHECK(ToSrt(words) == "1\n00:00:00,000 --> 00:00:02,800\n" + line + "\n" + line +
                            "\n\n2\n00:00:02,800 --> 00:00:02,900\n\u00e9\u00e9\n\n");

  const std::string exact(20, 'x'), rest(21, 'y');
  CHECK(Contains(ToSrt({{exact, 0, 0.1}, {rest, 0.1, 0.2}}), exact + " " + rest));
  CHECK(Contains(ToSrt({{exact, 0, 0.1}, {rest + "y", 0.1, 0.2}}), exact + "\n" + rest));
  const std::string longer(60, 'z');
  CHECK(Contains(ToSrt({{"a", 0, 0.1}, {longer, 0.1, 0.2}, {"b", 0.2, 0.3}}),
                 "\na\n" + longer + "\n\n2\n"));
}

TEST_CASE("what a format gives a meaning to is escaped") {
  const Words nasty = {{" a&b", 0, 0.1}, {" <i>\"-->", 0.1, 0.2}};
  CHECK(Contains(ToWebVtt(nasty), "\na&amp;b &lt;i&gt;\"--&gt;\n"));
  CHECK(Contains(ToSrt(nasty), "\na&b <i>\"\u2192\n"));
  CHECK(Count(ToSrt(nasty), "-->") == 1);
  CHECK(Count(ToSrt({{"----->>", 0, 0.1}}), "-->") == 1);
  CHECK(Contains(ToTextGrid(nasty, 1), "text = \"<i>\"\"-->\"\n"));
  CHECK(nlohmann::json::parse(ToBenchmarkJson(nasty)).at("text") == "a&b <i>\"-->");
  CHECK(ToCtm({{" of the", 0, 0.1}, {";;no", 0.1, 0.2}}, "my call", ";;") ==
        "my_call _; 0.000 0.100 of_the\nmy_call _; 0.100 0.100 _;no\n");
}

TEST_CASE("words are one line of valid text, and empty ones are left out") {
  const Words words = {{" \n", 0, 0.1},
                       {"a\n\n1\tb", 0.1, 0.2},
                       {"", 0.2, 0.3},
                       {"\xE2x", 0.3, 0.4},
                       {std::string("\0 q\x7F\0", 5), 0.4, 0.5}};
  CHECK(Contains(ToSrt(words), "00:00:00,100 --> 00:00:00,500\na 1 b \uFFFDx q\n"));
  const auto json = nlohmann::json::parse(ToBenchmarkJson(words));
  CHECK(json.at("chunks").size() == 3);
  CHECK(json.at("text") == "a 1 b \uFFFDx q");
  CHECK(Count(ToCtm(words, "x", "1"), "\n") == 3);
}

TEST_CASE("a TextGrid has no holes, no overlaps and nothing beyond its end") {
  // Overlapping, without length, reaching beyond the end, and starting beyond it.
  const std::string grid = ToTextGrid(
      {{"a", 0, 0.5}, {"b", 0.4, 0.7}, {"c", 0.7, 0.7}, {"d", 0.9, 1.5}, {"e", 1.6, 1.7}}, 1);
  std::vector<std::string> bounds;
  for (size_t at = grid.find("intervals [1]"); at != std::string::npos;) {
    at = grid.find("xm", at);
    if (at == std::string::npos) break;
    const size_t from = grid.find("= ", at) + 2;
    bounds.push_back(grid.substr(from, grid.find('\n', at) - from));
    at = from;
  }
  CHECK(bounds == std::vector<std::string>{"0", "0.5", "0.5", "0.7", "0.7", "0.700001", "0.700001",
                                           "0.9", "0.9", "1"});
  CHECK(Contains(grid, "intervals: size = 5\n"));
  CHECK(Contains(grid, "text = \"d e\"\n"));
}

TEST_CASE("a TextGrid of words beyond its end keeps them at the end") {
  const std::string grid = ToTextGrid({{"late", 5, 6}}, 1);
  CHECK(Contains(grid, "intervals: size = 2\n"));
  CHECK(Contains(grid, "xmin = 0.999999\n            xmax = 1\n            text = \"late\"\n"));
  CHECK_THROWS_AS(ToTextGrid(kHelloWorld, 0), base::Error);
  CHECK_THROWS_AS(ToTextGrid(kHelloWorld, -1), base::Error);
  CHECK_THROWS_AS(ToTextGrid(kHelloWorld, std::numeric_limits<double>::quiet_NaN()), base::Error);
}

TEST_CASE("a CTM needs names") {
  CHECK_THROWS_AS(ToCtm(kHelloWorld, "", "1"), base::Error);
  CHECK_THROWS_AS(ToCtm(kHelloWorld, "call", " "), base::Error);
}

TEST_CASE("formats by name") {
  const TranscriptContext context{.recording_id = "call", .channel = "1", .duration_s = 2.5};
  const auto format = [&context](std::string_view name) {
    return FormatTranscript(ParseTranscriptFormat(name), kHelloWorld, context);
  };
  CHECK(format("srt") == ToSrt(kHelloWorld));
  CHECK(format("vtt") == ToWebVtt(kHelloWorld));
  CHECK(format("ctm") == ToCtm(kHelloWorld, "call", "1"));
  CHECK(format("textgrid") == ToTextGrid(kHelloWorld, 2.5));
  CHECK(FileExtension(TranscriptFormat::kTextGrid) == ".TextGrid");
  CHECK(FileExtension(TranscriptFormat::kWebVtt) == ".vtt");
  for (const std::string name : {"", "SRT", "txt"}) {
    CAPTURE(name);
    try {
      ParseTranscriptFormat(name);
      FAIL("not refused");
    } catch (const base::Error& error) {
      CHECK(error.code() == base::ErrorCode::kUsage);
      CHECK(Contains(error.what(), "srt, vtt, ctm or textgrid"));
    }
  }
}

}  // namespace ppx::text
