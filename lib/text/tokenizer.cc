#include "text/tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <utility>

#include "base/error.h"
#include "base/small_file.h"

namespace ppx::text {
namespace {

// The released 32k model has half a megabyte; a vocabulary of a million pieces has 20.
constexpr size_t kMaxModelBytes = size_t{64} << 20;

}  // namespace

struct Tokenizer::Model {
  std::string name;
  sentencepiece::SentencePieceProcessor processor;
};

Tokenizer::Tokenizer(std::shared_ptr<const Model> model) : model_(std::move(model)) {}

Tokenizer Tokenizer::Load(const std::string& path) {
  return Parse(
      base::ReadSmallFile(path, kMaxModelBytes, "a SentencePiece model (tokenizer_spm_*.model)"),
      path);
}

Tokenizer Tokenizer::Parse(std::string_view bytes, const std::string& name) {
  // What it would print about a bad file is in the status too.
  constexpr int kLogFatalOnly = 3;
  sentencepiece::SetMinLogLevel(kLogFatalOnly);
  auto model = std::make_shared<Model>();
  model->name = name;
  const auto status = model->processor.LoadFromSerializedProto({bytes.data(), bytes.size()});
  if (!status.ok() || model->processor.GetPieceSize() <= 0) {
    base::ThrowBadInput(
        fmt::format("{}: not a SentencePiece model, or damaged ({}); fetch the checkpoint's "
                    "tokenizer again",
                    name, status.ok() ? "no pieces" : status.message()));
  }
  return Tokenizer(std::move(model));
}

std::vector<int32_t> Tokenizer::Encode(const std::string& utf8) const {
  std::vector<int> ids;
  const auto status = model_->processor.Encode(utf8, &ids);
  if (!status.ok()) {
    base::ThrowInternal(fmt::format("{}: cannot encode ({})", model_->name, status.ToString()));
  }
  return {ids.begin(), ids.end()};
}

std::string Tokenizer::Piece(int32_t id) const {
  CheckId(id);
  return model_->processor.IdToPiece(id);
}

PieceKind Tokenizer::Kind(int32_t id) const {
  CheckId(id);
  if (model_->processor.IsControl(id)) return PieceKind::kControl;
  if (model_->processor.IsUnknown(id)) return PieceKind::kUnknown;
  if (model_->processor.IsByte(id)) return PieceKind::kByte;
  if (model_->processor.IsUnused(id)) return PieceKind::kUnused;
  return PieceKind::kText;
}

int32_t Tokenizer::size() const { return model_->processor.GetPieceSize(); }

void Tokenizer::CheckId(int32_t id) const {
  if (id >= 0 && id < size()) return;
  base::ThrowBadInput(
      fmt::format("{}: text id {} is outside its {} pieces; does this tokenizer belong to the "
                  "checkpoint?",
                  model_->name, id, size()));
}

}  // namespace ppx::text
