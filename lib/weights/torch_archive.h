#pragma once

#include <map>
#include <string>
#include <vector>

#include "weights/dtype.h"

namespace ppx::weights {

struct OwnedTensor {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> data;
};

std::map<std::string, OwnedTensor> ReadTorchArchive(const std::string& path);

}  // namespace ppx::weights
