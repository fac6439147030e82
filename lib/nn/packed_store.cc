#include "nn/packed_store.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/host_buffer.h"
#include "kernels/parallel.h"
#include "weights/safetensors.h"

namespace ppx::nn {
namespace {

// Of the order in which lib/kernels lays out its bytes. To be raised with every change of it.
constexpr const char* kLayout = "2";
constexpr const char* kFormat = "ppx packed weights";

// Several threads, so that pages of a file that is in memory already are mapped side by side.
void Copy(std::span<const std::byte> from, std::byte* to) {
  constexpr size_t kPiece = size_t{4} << 20;
  kernels::ParallelFor(static_cast<int64_t>((from.size() + kPiece - 1) / kPiece),
                       [&](int64_t piece) {
                         const size_t at = static_cast<size_t>(piece) * kPiece;
                         std::memcpy(to + at, from.data() + at, std::min(kPiece, from.size() - at));
                       });
}

}  // namespace

PackedStore::PackedStore(std::string path, kernels::WeightForm form)
    : path_(std::move(path)), form_(form) {
  if (!path_.empty() && std::filesystem::exists(path_)) Read();
}

void PackedStore::Read() {
  std::shared_ptr<const weights::SafetensorsFile> file;
  try {
    file = weights::SafetensorsFile::Open(path_);
  } catch (const base::Error&) {
    return;  // made anew
  }
  const auto& metadata = file->metadata();
  const auto says = [&](const char* key, const std::string& value) {
    const auto entry = metadata.find(key);
    return entry != metadata.end() && entry->second == value;
  };
  if (!says("format", kFormat) || !says("layout", kLayout) || !says("form", kernels::Name(form_))) {
    return;
  }
  for (const auto& [name, view] : file->tensors()) {
    auto buffer = std::make_shared<kernels::HostBuffer>(view.data.size());
    Copy(view.data, buffer->data());
    file->Release(view);
    matrices_[name] = {.data = buffer->data(), .size = view.data.size(), .owner = buffer};
  }
  const auto notes = metadata.find("notes");
  notes_ = notes == metadata.end() ? "" : notes->second;
  complete_ = true;
}

std::optional<kernels::PackedMatrix> PackedStore::Find(const std::string& name, int64_t outputs,
                                                       int64_t inputs) const {
  const auto found = matrices_.find(name);
  if (found == matrices_.end() ||
      found->second.size != kernels::PackedMatrix::Bytes(form_, outputs, inputs)) {
    return std::nullopt;
  }
  return kernels::PackedMatrix(form_, outputs, inputs, found->second.data, found->second.owner);
}

void PackedStore::Add(const std::string& name, const kernels::PackedMatrix& matrix) {
  matrices_[name] = {.data = matrix.bytes(), .size = matrix.size_bytes(), .owner = matrix.owner()};
}

bool PackedStore::Save(const std::string& notes) {
  notes_ = notes;
  if (path_.empty()) return false;
  std::vector<weights::NamedTensor> tensors;
  for (const auto& [name, bytes] : matrices_) {
    tensors.push_back({.name = name,
                       .dtype = weights::DType::kU8,
                       .shape = {static_cast<int64_t>(bytes.size)},
                       .data = {bytes.data, bytes.size}});
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  try {
    weights::WriteSafetensors(path_, tensors,
                              {{"format", kFormat},
                               {"layout", kLayout},
                               {"form", kernels::Name(form_)},
                               {"notes", notes}});
  } catch (const base::Error&) {
    return false;
  }
  return true;
}

}  // namespace ppx::nn
