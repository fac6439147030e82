#include "text/text_track.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "golden_tensors.h"
#include "spm_model.h"
#include "support/doctest.h"
#include "text/transcript_formats.h"

namespace ppx::text {
namespace {

constexpr int kEpad = 0, kBos = 1, kEos = 2, kPad = 3;
constexpr int kHello = 4, kWor = 5, kLd = 6, kBang = 7, kSpace = 8, kBoth = 9, kUnused = 10;
constexpr double kFrame = 0.08;

const std::vector<SpmPiece> kPieces = {
    {"\u2581hello"},          {"\u2581wor"}, {"ld"}, {"!"}, {"\u2581"}, {"\u2581of\u2581the"},
    {"old", SpmType::kUnused}};

const Tokenizer& SmallTokenizer() {
  static const Tokenizer tokenizer = Tokenizer::Parse(SpmModelBytes(kPieces), "made by hand");
  return tokenizer;
}

int Byte(unsigned char byte) { return SpmByteId(kPieces, byte); }

std::vector<base::TimedWord> Words(const std::vector<int32_t>& ids, double start_s = 0) {
  return TimedWords(ids, SmallTokenizer(), kFrame, start_s);
}

void CheckWord(const base::TimedWord& word, const std::string& text, double start_s, double end_s) {
  CHECK(word.text == text);
  CHECK(word.start_s == doctest::Approx(start_s).epsilon(1e-9));
  CHECK(word.end_s == doctest::Approx(end_s).epsilon(1e-9));
}

}  // namespace

TEST_CASE("the reference run's text list, string for string and byte for byte") {
  const auto tokenizer = Tokenizer::Load(PPX_SOURCE_DIR "/configs/tiny/tokenizer_spm.model");
  for (const std::string run : {"greedy", "greedy_pt"}) {
    CAPTURE(run);
    const GoldenInts tokens = ReadGoldenInts(run + ".tokens");
    REQUIRE(tokens.shape == std::vector<size_t>{75, 17});
    std::vector<int32_t> ids;
    for (size_t row = 0; row < 75; ++row) ids.push_back(tokens.values[row * 17]);
    const auto strings = FrameStrings(ids, tokenizer);
    const std::string expected = ReadGolden(run + ".text.json");
    CHECK(nlohmann::json(strings) == nlohmann::json::parse(expected));
    CHECK(ToFrameTextJson(strings) == expected);

    // Whatever the words' times are, their letters are those of the frames.
    std::string letters;
    for (const std::string& text : strings) letters += text == "PAD" || text == "EPAD" ? "" : text;
    std::string spoken;
    double reached_s = 0;
    for (const auto& word : TimedWords(ids, tokenizer, kFrame, 0)) {
      spoken += word.text;
      CHECK(word.start_s >= reached_s);
      CHECK(word.end_s > word.start_s);
      reached_s = word.end_s;
    }
    CHECK(spoken == letters);
    CHECK(reached_s <= 75 * kFrame);
  }
}

TEST_CASE("frame strings: EPAD, PAD, and pieces with spaces, BOS and EOS too") {
  CHECK(
      FrameStrings({kEpad, kPad, kBos, kEos, kHello, kBoth, kLd, Byte(0xE2)}, SmallTokenizer()) ==
      std::vector<std::string>{"EPAD", "PAD", "<s>", "</s>", " hello", " of the", "ld", "<0xE2>"});
  CHECK(FrameStrings({}, SmallTokenizer()).empty());
  const TextIds swapped{.epad = 3, .bos = 1, .eos = 2, .pad = 0};
  CHECK(FrameStrings({0, 3}, SmallTokenizer(), swapped) == std::vector<std::string>{"PAD", "EPAD"});
  CHECK_THROWS_AS(FrameStrings({-1}, SmallTokenizer()), base::Error);
  CHECK(FrameStrings({32000}, SmallTokenizer()) == std::vector<std::string>{"<32000>"});
}

TEST_CASE("pieces come together to words") {
  const auto words = Words({kPad, kHello, kWor, kLd, kBang, kPad, kPad, kPad, kPad, kPad});
  REQUIRE(words.size() == 2);
  CheckWord(words[0], " hello", 0.08, 0.16);  // not 0.24 s: the next word begins
  CheckWord(words[1], " world!", 0.16, 0.40);
}

TEST_CASE("a short word lasts 0.24 s, but not beyond EPAD, the next word or the track") {
  CheckWord(Words({kHello, kPad, kPad, kPad, kPad}).at(0), " hello", 0, 0.24);
  CheckWord(Words({kHello, kPad, kEpad, kPad, kPad}).at(0), " hello", 0, 0.16);
  CheckWord(Words({kHello, kEpad, kWor, kPad, kPad}).at(0), " hello", 0, 0.08);
  CheckWord(Words({kHello, kPad, kWor, kPad, kPad}).at(0), " hello", 0, 0.16);
  CheckWord(Words({kHello, kPad}).at(0), " hello", 0, 0.16);
  CheckWord(Words({kHello}).at(0), " hello", 0, 0.08);
  CheckWord(Words({kHello, kPad, kEos, kPad, kPad}).at(0), " hello", 0, 0.16);
}

TEST_CASE("a word goes on over PAD, and not over EPAD, BOS or EOS") {
  const auto over_pad = Words({kWor, kPad, kPad, kPad, kPad, kLd, kPad, kPad, kPad});
  REQUIRE(over_pad.size() == 1);
  CheckWord(over_pad[0], " world", 0, 0.48);
  for (const int boundary : {kEpad, kBos, kEos}) {
    CAPTURE(boundary);
    const auto words = Words({kWor, kPad, boundary, kLd, kPad, kPad, kPad, kPad});
    REQUIRE(words.size() == 2);
    CheckWord(words[0], " wor", 0, 0.16);
    CheckWord(words[1], "ld", 0.24, 0.48);
  }
}

TEST_CASE("row 0 may be at any time") {
  const auto words = Words({kPad, kHello, kPad, kPad, kPad}, -0.08);
  REQUIRE(words.size() == 1);
  CheckWord(words[0], " hello", 0, 0.24);
}

TEST_CASE("nothing said gives no words") {
  CHECK(Words({}).empty());
  CHECK(Words({kPad, kEpad, kBos, kEos, kPad}).empty());
  CHECK(Words({kSpace, kPad, kSpace, kSpace}).empty());
}

TEST_CASE("a lone space piece begins the word that follows, and spaces within a piece stay") {
  CheckWord(Words({kSpace, kLd, kPad, kPad, kPad}).at(0), " ld", 0, 0.24);
  CheckWord(Words({kBoth, kPad, kPad, kPad}).at(0), " of the", 0, 0.24);
}

TEST_CASE("unused and unknown pieces never enter words") {
  const auto words = Words({kWor, kUnused, kLd, kPad, kPad});
  REQUIRE(words.size() == 1);
  CHECK(words[0].text == " world");
  const TextIds elsewhere{.epad = 20, .bos = 21, .eos = 22, .pad = 23};
  const auto others = TimedWords({kWor, 0, 1, 2, 3, kLd}, SmallTokenizer(), kFrame, 0, elsewhere);
  REQUIRE(others.size() == 1);
  CHECK(others[0].text == " world");
}

TEST_CASE("byte pieces make characters, and U+FFFD where they make none") {
  // U+2581 has no meaning when it comes in bytes; U+20AC is E2 82 AC.
  const auto euro = Words({kHello, Byte(0xE2), Byte(0x82), kPad, Byte(0xAC), kBang});
  REQUIRE(euro.size() == 1);
  CHECK(euro[0].text == " hello\u20ac!");
  CHECK(Words({kHello, Byte(0xE2), Byte(0x82), kBang}).at(0).text == " hello\uFFFD!");
  CHECK(Words({Byte(0x82), kBang}).at(0).text == "\uFFFD!");
  // A character that is cut by a word's end is made whole in neither word.
  const auto cut = Words({kHello, Byte(0xC3), kEpad, Byte(0xA9)});
  REQUIRE(cut.size() == 2);
  CHECK(cut[0].text == " hello\uFFFD");
  CHECK(cut[1].text == "\uFFFD");
  CHECK(Words({kHello, Byte(0x4F)}).at(0).text == " helloO");
}

TEST_CASE("ids of another tokenizer and a frame without length are errors") {
  CHECK_THROWS_AS(Words({-1}), base::Error);
  CHECK(Words({kHello, SmallTokenizer().size()}).size() == 1);
  CHECK_THROWS_AS(TimedWords({kHello}, SmallTokenizer(), 0, 0), base::Error);
  CHECK_THROWS_AS(
      TimedWords({kHello}, SmallTokenizer(), std::numeric_limits<double>::quiet_NaN(), 0),
      base::Error);
}

}  // namespace ppx::text
