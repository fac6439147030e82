#include "text/tokenizer.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "golden_tensors.h"
#include "spm_model.h"
#include "support/doctest.h"
#include "text/text_prompt.h"

namespace ppx::text {
namespace {

const char* const kTinyModel = PPX_SOURCE_DIR "/configs/tiny/tokenizer_spm.model";

std::string TinyModelBytes() {
  std::ifstream file(kTinyModel, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string ErrorOfLoad(const std::string& path) {
  try {
    Tokenizer::Load(path);
  } catch (const base::Error& error) {
    CHECK(error.code() == base::ErrorCode::kBadInput);
    return error.what();
  }
  return "";
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the reference run's prompt gives the reference's ids") {
  const auto tokenizer = Tokenizer::Load(kTinyModel);
  const auto prompt = nlohmann::json::parse(ReadGolden("prompt.json"));
  const auto ids = EncodeTextPrompt(tokenizer, prompt.at("text_prompt").get<std::string>());
  CHECK(ids.size() == 48);
  CHECK(ids == ReadGoldenInts("greedy.text_prompt_tokens").values);
  CHECK(ids == ReadGoldenInts("greedy_pt.text_prompt_tokens").values);
}

TEST_CASE("pieces and kinds of the bundled tokenizer") {
  const auto tokenizer = Tokenizer::Load(kTinyModel);
  CHECK(tokenizer.Piece(0) == "<unk>");
  CHECK(tokenizer.Piece(3) == "<pad>");
  CHECK(tokenizer.Kind(0) == PieceKind::kUnknown);
  CHECK(tokenizer.Kind(1) == PieceKind::kControl);
  CHECK(tokenizer.Kind(2) == PieceKind::kControl);
  CHECK(tokenizer.Kind(3) == PieceKind::kControl);
  std::set<std::string> pieces;
  for (int32_t id = 0; id < tokenizer.size(); ++id) pieces.insert(tokenizer.Piece(id));
  CHECK(pieces.size() == static_cast<size_t>(tokenizer.size()));
  CHECK(pieces.contains("\u2581the"));
}

TEST_CASE("ids outside the vocabulary are told with the file's name") {
  const auto tokenizer = Tokenizer::Load(kTinyModel);
  for (const int32_t id : {-2, -1, tokenizer.size(), INT32_MAX, INT32_MIN}) {
    CAPTURE(id);
    CHECK_THROWS_AS(tokenizer.Piece(id), base::Error);
    CHECK_THROWS_AS(tokenizer.Kind(id), base::Error);
    try {
      tokenizer.Piece(id);
    } catch (const base::Error& error) {
      CHECK(error.code() == base::ErrorCode::kBadInput);
      CHECK(Contains(error.what(), kTinyModel));
      CHECK(Contains(error.what(), std::to_string(id)));
    }
  }
  CHECK_NOTHROW(tokenizer.Piece(tokenizer.size() - 1));
}

TEST_CASE("text and pieces are there and back the same") {
  const auto tokenizer = Tokenizer::Load(kTinyModel);
  std::string text;
  for (const int32_t id : tokenizer.Encode("the voice of the model")) text += tokenizer.Piece(id);
  CHECK(text == "\u2581the\u2581voice\u2581of\u2581the\u2581model");
  CHECK(tokenizer.Encode("").empty());
}

TEST_CASE("bytes that are not UTF-8, NULs and long text encode without a fault") {
  const auto tokenizer = Tokenizer::Load(kTinyModel);
  CHECK_FALSE(tokenizer.Encode("\xE2\x82").empty());
  CHECK_FALSE(tokenizer.Encode(std::string("a\0b", 3)).empty());
  CHECK(tokenizer.Encode(std::string(20000, 'a')).size() > 100);
}

TEST_CASE("a copy outlives the original") {
  auto original = std::make_unique<Tokenizer>(Tokenizer::Load(kTinyModel));
  const Tokenizer copy = *original;
  const auto ids = original->Encode("the model");
  original.reset();
  CHECK(copy.Encode("the model") == ids);
}

TEST_CASE("missing and damaged models are told with the file's name") {
  CHECK(Contains(ErrorOfLoad("/nonexistent/spm.model"), "/nonexistent/spm.model: No such file"));
  CHECK(Contains(ErrorOfLoad(PPX_SOURCE_DIR), "directory"));
  const std::string wave = PPX_SOURCE_DIR "/tests/golden/tiny/user.wav";
  CHECK(Contains(ErrorOfLoad(wave), wave + ": not a SentencePiece model"));
  CHECK(Contains(ErrorOfLoad("/dev/null"), "empty"));
  CHECK_THROWS_AS(Tokenizer::Parse("", "x"), base::Error);
  CHECK_THROWS_AS(Tokenizer::Parse("{}", "x"), base::Error);
}

TEST_CASE("a model cut anywhere is refused or usable, never a crash") {
  const std::string bytes = TinyModelBytes();
  REQUIRE(bytes.size() > 3000);
  size_t refused = 0;
  for (size_t length = 0; length < bytes.size(); length += 7) {
    try {
      const auto tokenizer = Tokenizer::Parse(std::string_view(bytes).substr(0, length), "cut");
      tokenizer.Encode("the model");
    } catch (const base::Error& error) {
      CHECK(error.code() == base::ErrorCode::kBadInput);
      ++refused;
    }
  }
  CHECK(refused > 300);
}

TEST_CASE("byte fallback, user-defined and unused pieces are told apart") {
  const std::vector<SpmPiece> pieces = {
      {"\u2581a"}, {"b"}, {"[x]", SpmType::kUserDefined}, {"old", SpmType::kUnused}};
  const auto tokenizer = Tokenizer::Parse(SpmModelBytes(pieces), "made by hand");
  CHECK(tokenizer.size() == 4 + 4 + 256);
  CHECK(tokenizer.Kind(4) == PieceKind::kText);
  CHECK(tokenizer.Kind(6) == PieceKind::kText);
  CHECK(tokenizer.Kind(7) == PieceKind::kUnused);
  CHECK(tokenizer.Kind(SpmByteId(pieces, 0xE2)) == PieceKind::kByte);
  CHECK(tokenizer.Piece(SpmByteId(pieces, 0xE2)) == "<0xE2>");
  const std::vector<int32_t> expected = {4, 5, SpmByteId(pieces, 0xC3), SpmByteId(pieces, 0xA9)};
  CHECK(tokenizer.Encode("ab\u00e9") == expected);
}

}  // namespace ppx::text
