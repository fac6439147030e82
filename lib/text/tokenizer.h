// lib/text/tokenizer.h: text <-> ids of the model's text stream (stream 0).
//
// A SentencePiece model (Kudo and Richardson, EMNLP 2018) as it comes with the checkpoint. The
// SentencePiece library stays behind this header: it brings a protobuf of its own, which must never
// meet LibTorch's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ppx::text {

// How SentencePiece writes a space: a piece that begins with it begins a word.
inline constexpr std::string_view kWordBoundary = "\u2581";

enum class PieceKind {
  kText,     // stands for its own characters, user-defined symbols included
  kByte,     // "<0xE2>": one byte of a character that has no piece
  kControl,  // <s>, </s>, <pad>: stands for no text
  kUnknown,  // <unk>
  kUnused
};

// Immutable, so any number of threads may use one; copies share the model.
class Tokenizer {
 public:
  // Throws base::Error(kBadInput) with the path if the file is missing or is no SentencePiece
  // model.
  static Tokenizer Load(const std::string& path);
  // The same from a file's bytes; `name` stands in the error text.
  static Tokenizer Parse(std::string_view bytes, const std::string& name);

  // Ids of the text, without BOS or EOS. The model's own normalisation is applied, which for the
  // released checkpoints puts a space in front. Bytes that are not UTF-8 count as U+FFFD.
  std::vector<int32_t> Encode(const std::string& utf8) const;

  // The piece as the model file has it, U+2581 included.
  // Both throw base::Error(kBadInput) for an id outside [0, size()): a tokenizer that does not
  // belong to the checkpoint whose ids it reads.
  std::string Piece(int32_t id) const;
  PieceKind Kind(int32_t id) const;

  int32_t size() const;

 private:
  struct Model;
  explicit Tokenizer(std::shared_ptr<const Model> model);
  void CheckId(int32_t id) const;

  std::shared_ptr<const Model> model_;
};

}  // namespace ppx::text
