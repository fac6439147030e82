// tests/support/golden_files.h: the small checkpoint and what is expected of it.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>

#include "nn/weight_loader.h"
#include "weights/safetensors.h"

namespace ppx::test {

inline std::string TinyModel(const std::string& file) {
  return std::string(PPX_SOURCE_DIR "/configs/tiny/") + file;
}
inline std::string GoldenFile(const std::string& file) {
  return std::string(PPX_SOURCE_DIR "/tests/golden/tiny/") + file;
}

// A tensor of golden.safetensors; the file stays open.
inline at::Tensor Golden(const std::string& name) {
  static const auto file = weights::SafetensorsFile::Open(GoldenFile("golden.safetensors"));
  const weights::TensorView* view = file->Find(name);
  return view == nullptr ? at::Tensor() : nn::TensorOverView(*view);
}

}  // namespace ppx::test
