// lib/weights/safetensors.h: reading and writing safetensors files.
//
// Layout: 8 bytes little-endian length of the header; the header, a JSON object of
// {name: {"dtype", "shape", "data_offsets": [begin, end]}} and "__metadata__"; the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "weights/dtype.h"

namespace ppx::weights {

// A tensor in a mapped file, row-major. The file may place data at any byte: whoever reads elements
// through a typed pointer checks the alignment first.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

struct SafetensorsHeader {
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> metadata;
};

// Checks the whole header of a file in memory; the views point into `file`. Pure: no I/O, no bound
// on `file` but its own. Throws base::Error (kBadInput) that begins with `name`.
SafetensorsHeader ParseSafetensors(std::span<const std::byte> file, const std::string& name);

// A file mapped read-only: nothing is copied, pages are read when they are touched. Views are valid
// while the object lives. Const and shareable. A file that is cut while it is mapped is out of
// scope.
class SafetensorsFile {
 public:
  // Throws base::Error (kBadInput) where the file cannot be opened or is not a sound safetensors
  // file.
  static std::shared_ptr<const SafetensorsFile> Open(const std::string& path);

  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;
  ~SafetensorsFile();

  const std::map<std::string, TensorView>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  // Null where there is no such tensor.
  const TensorView* Find(const std::string& name) const;
  // Says that a tensor will not be read soon: its pages count no longer as this process's. They
  // come back when they are touched.
  void Release(const TensorView& view) const;
  void Release() const;  // of all tensors
  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_; }

 private:
  SafetensorsFile(std::string path, void* mapping, size_t size);

  std::string path_;
  void* mapping_;
  size_t size_;
  SafetensorsHeader header_;
};

struct NamedTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // row-major, not owned
};

// Writes beside, syncs and renames. The same tensors give the same bytes: larger types first, then
// by name, data aligned for its type. Throws base::Error: as base::AtomicFile does, and kInternal
// for tensors that do not fit their shape, names that come twice or are no UTF-8.
void WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace ppx::weights
