#include "spm_model.h"

#include <fmt/format.h>

#include <cstring>

namespace ppx::text {
namespace {

// The parts of protobuf's wire format that a model file needs.
void PutVarint(std::string& out, unsigned value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>((value & 0x7F) | 0x80);
  out += static_cast<char>(value);
}

void PutInt(std::string& out, unsigned field, unsigned value) {
  PutVarint(out, field << 3);
  PutVarint(out, value);
}

void PutBytes(std::string& out, unsigned field, const std::string& bytes) {
  PutVarint(out, field << 3 | 2);
  PutVarint(out, static_cast<unsigned>(bytes.size()));
  out += bytes;
}

void PutFloat(std::string& out, unsigned field, float value) {
  PutVarint(out, field << 3 | 5);
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void PutPiece(std::string& out, const SpmPiece& piece) {
  std::string message;
  PutBytes(message, 1, piece.text);
  PutFloat(message, 2, -1.0F);
  PutInt(message, 3, static_cast<unsigned>(piece.type));
  PutBytes(out, 1, message);
}

}  // namespace

std::string SpmModelBytes(const std::vector<SpmPiece>& pieces) {
  std::string model;
  PutPiece(model, {"<unk>", SpmType::kUnknown});
  for (const char* name : {"<s>", "</s>", "<pad>"}) PutPiece(model, {name, SpmType::kControl});
  for (const SpmPiece& piece : pieces) PutPiece(model, piece);
  for (int byte = 0; byte < 256; ++byte) {
    PutPiece(model, {fmt::format("<0x{:02X}>", byte), SpmType::kByte});
  }
  std::string trainer;
  PutInt(trainer, 3, 1);   // model_type: unigram
  PutInt(trainer, 35, 1);  // byte_fallback
  PutBytes(model, 2, trainer);
  std::string normalizer;
  PutBytes(normalizer, 1, "identity");
  PutBytes(model, 3, normalizer);
  return model;
}

int SpmByteId(const std::vector<SpmPiece>& pieces, unsigned char byte) {
  return 4 + static_cast<int>(pieces.size()) + byte;
}

}  // namespace ppx::text
