#include "weights/torch_archive.h"

#include "base/error.h"

namespace ppx::weights {
std::map<std::string, OwnedTensor> ReadTorchArchive(const std::string& path) {
  base::ThrowInternal(path);
}
}  // namespace ppx::weights
