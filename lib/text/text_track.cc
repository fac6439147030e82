#include "text/text_track.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "text/utf8.h"

namespace ppx::text {
namespace {

constexpr double kShortestWordS = 0.24;

std::string WithSpaces(std::string_view piece) { return ReplaceAll(piece, kWordBoundary, " "); }

// "<0xE2>" -> '\xE2'.
char ByteOf(std::string_view piece) {
  constexpr std::string_view kPrefix = "<0x";
  constexpr size_t kDigits = 2;
  unsigned value = 0;
  if (piece.starts_with(kPrefix) && piece.size() > kPrefix.size() + kDigits) {
    const char* const digits = piece.data() + kPrefix.size();
    if (std::from_chars(digits, digits + kDigits, value, 16).ptr == digits + kDigits) {
      return static_cast<char>(value);
    }
  }
  base::ThrowBadInput("the tokenizer has a byte piece '" + std::string(piece) +
                      "', which is not of the form <0xE2>; is the model file damaged?");
}

struct OpenWord {
  std::string text;
  size_t first_frame = 0;
  size_t last_frame = 0;
};

class WordCollector {
 public:
  WordCollector(double frame_s, double start_s) : frame_s_(frame_s), start_s_(start_s) {}

  void Begin(size_t frame) {
    End(frame);
    open_ = OpenWord{.text = "", .first_frame = frame, .last_frame = frame};
  }

  void Append(size_t frame, std::string_view text) {
    if (!open_) Begin(frame);
    open_->text += text;
    open_->last_frame = frame;
  }

  // The open word, if any, is over by the start of `frame`.
  void End(size_t frame) {
    if (!open_) return;
    const OpenWord word = *std::exchange(open_, std::nullopt);
    const std::string text = ReplaceInvalidUtf8(word.text);
    if (StripWhitespace(text).empty()) return;
    const double start_s = StartOf(word.first_frame);
    const double end_s = std::max(StartOf(word.last_frame + 1), start_s + kShortestWordS);
    words_.push_back({text, start_s, std::min(end_s, StartOf(frame))});
  }

  std::vector<base::TimedWord> Take() { return std::move(words_); }

 private:
  double StartOf(size_t frame) const { return start_s_ + static_cast<double>(frame) * frame_s_; }

  double frame_s_;
  double start_s_;
  std::optional<OpenWord> open_;
  std::vector<base::TimedWord> words_;
};

}  // namespace

std::vector<std::string> FrameStrings(const std::vector<int32_t>& ids, const Tokenizer& tokenizer,
                                      TextIds special) {
  std::vector<std::string> strings;
  strings.reserve(ids.size());
  for (const int32_t id : ids) {
    if (id == special.epad) {
      strings.emplace_back("EPAD");
    } else if (id == special.pad) {
      strings.emplace_back("PAD");
    } else if (id >= tokenizer.size()) {
      strings.push_back("<" + std::to_string(id) + ">");
    } else {
      strings.push_back(WithSpaces(tokenizer.Piece(id)));
    }
  }
  return strings;
}

std::vector<base::TimedWord> TimedWords(const std::vector<int32_t>& ids, const Tokenizer& tokenizer,
                                        double frame_s, double start_s, TextIds special) {
  if (!(frame_s > 0)) base::ThrowInternal("TimedWords: the frame length must be above 0");
  WordCollector words(frame_s, start_s);
  for (size_t frame = 0; frame < ids.size(); ++frame) {
    const int32_t id = ids[frame];
    if (id == special.pad || id >= tokenizer.size()) continue;
    if (id == special.epad || id == special.bos || id == special.eos) {
      words.End(frame);
      continue;
    }
    const std::string piece = tokenizer.Piece(id);
    switch (tokenizer.Kind(id)) {
      case PieceKind::kText:
        if (piece.starts_with(kWordBoundary)) words.Begin(frame);
        words.Append(frame, WithSpaces(piece));
        break;
      case PieceKind::kByte:
        words.Append(frame, std::string(1, ByteOf(piece)));
        break;
      case PieceKind::kControl:
      case PieceKind::kUnknown:
      case PieceKind::kUnused:
        break;
    }
  }
  words.End(ids.size());
  return words.Take();
}

}  // namespace ppx::text
