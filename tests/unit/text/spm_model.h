// tests/unit/text/spm_model.h: SentencePiece model files made by hand, for what the bundled
// tokenizer has not got (byte pieces, user-defined and unused ones).
#pragma once

#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace ppx::text {

// Numbers of sentencepiece_model.proto.
enum class SpmType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct SpmPiece {
  std::string text;
  SpmType type = SpmType::kNormal;
};

// A unigram model of <unk>, <s>, </s>, <pad> (ids 0 to 3), then `pieces`, then the 256 byte pieces.
std::string SpmModelBytes(const std::vector<SpmPiece>& pieces);
// Id of the byte piece of `byte` in such a model.
int SpmByteId(const std::vector<SpmPiece>& pieces, unsigned char byte);

}  // namespace ppx::text
