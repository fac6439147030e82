// tests/support/memory_checkpoint.h: a checkpoint made in a test, through a file in the temp
// folder.
#pragma once

#include <ATen/ATen.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "nn/weight_loader.h"
#include "weights/safetensors.h"

namespace ppx::test {

// The mapped file of these tensors. The file itself is gone when this returns; the mapping stays.
inline std::shared_ptr<const weights::SafetensorsFile> MemoryCheckpoint(
    const std::map<std::string, at::Tensor>& tensors) {
  static int count = 0;
  const std::string path =
      (std::filesystem::temp_directory_path() /
       ("ppx_test_" + std::to_string(getpid()) + "_" + std::to_string(count++) + ".safetensors"))
          .string();
  std::vector<weights::NamedTensor> named;
  std::vector<at::Tensor> alive;
  for (const auto& [name, tensor] : tensors) {
    alive.push_back(tensor.contiguous());
    named.push_back(
        {name,
         nn::FromScalarType(tensor.scalar_type()),
         tensor.sizes().vec(),
         {static_cast<const std::byte*>(alive.back().const_data_ptr()), tensor.nbytes()}});
  }
  weights::WriteSafetensors(path, named);
  auto file = weights::SafetensorsFile::Open(path);
  std::remove(path.c_str());
  return file;
}

}  // namespace ppx::test
