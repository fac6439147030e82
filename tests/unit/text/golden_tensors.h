// tests/unit/text/golden_tensors.h: int32 tensors of tests/golden/tiny/golden.safetensors, read
// here by hand so that this library's tests need neither LibTorch nor the weights library.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace ppx::text {

inline std::string ReadGolden(const std::string& name) {
  std::ifstream file(PPX_SOURCE_DIR "/tests/golden/tiny/" + name, std::ios::binary);
  if (!file) throw std::runtime_error("tests/golden/tiny/" + name + " cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

struct GoldenInts {
  std::vector<size_t> shape;
  std::vector<int32_t> values;
};

inline GoldenInts ReadGoldenInts(const std::string& key) {
  const std::string file = ReadGolden("golden.safetensors");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const auto entry = nlohmann::json::parse(file.substr(sizeof header_bytes, header_bytes)).at(key);
  if (entry.at("dtype") != "I32") throw std::runtime_error(key + " is not I32");
  const auto offsets = entry.at("data_offsets").get<std::vector<size_t>>();
  GoldenInts tensor{entry.at("shape").get<std::vector<size_t>>(), {}};
  tensor.values.resize((offsets.at(1) - offsets.at(0)) / sizeof(int32_t));
  std::memcpy(tensor.values.data(), file.data() + sizeof header_bytes + header_bytes + offsets[0],
              tensor.values.size() * sizeof(int32_t));
  return tensor;
}

}  // namespace ppx::text
