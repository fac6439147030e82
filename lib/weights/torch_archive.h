// lib/weights/torch_archive.h: tensors of a torch.save file, read without running any of it.
//
// A torch.save file is a zip archive: NAME/data.pkl, a pickle program that builds the object, and
// NAME/data/KEY, the raw bytes of its storages. Pickle can call any function; this reader knows
// only what a dict of tensors needs (storages, _rebuild_tensor_v2, OrderedDict) and refuses the
// rest by name. Tensors of more than 256 MiB, together or by their storages, are refused too: voice
// prompts are far smaller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "weights/dtype.h"

namespace ppx::weights {

struct OwnedTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> data;  // row-major, contiguous
};

using TensorMap = std::map<std::string, OwnedTensor>;

// A zip archive whose object is a dict of string to tensor. Throws base::Error (kBadInput) that
// begins with the path.
TensorMap ReadTorchArchive(const std::string& path);

// The same for an archive in memory.
TensorMap ParseTorchArchive(std::span<const std::byte> archive, const std::string& name);

// The bytes of the storage with that key.
using StorageReader = std::function<std::vector<std::byte>(const std::string& key)>;

// The pickle program alone. `storage` is called once for every tensor, also where two share one.
TensorMap ParseTorchPickle(std::span<const std::byte> program, const StorageReader& storage,
                           const std::string& name);

}  // namespace ppx::weights
