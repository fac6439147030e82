#include "weights/dtype.h"

#include <array>

namespace ppx::weights {
namespace {

struct Entry {
  DType dtype;
  std::string_view name;
  size_t size;
};

constexpr std::array<Entry, 10> kTypes{{{DType::kF64, "F64", 8},
                                        {DType::kF32, "F32", 4},
                                        {DType::kF16, "F16", 2},
                                        {DType::kBf16, "BF16", 2},
                                        {DType::kI64, "I64", 8},
                                        {DType::kI32, "I32", 4},
                                        {DType::kI16, "I16", 2},
                                        {DType::kI8, "I8", 1},
                                        {DType::kU8, "U8", 1},
                                        {DType::kBool, "BOOL", 1}}};

const Entry& Find(DType dtype) {
  for (const Entry& entry : kTypes) {
    if (entry.dtype == dtype) return entry;
  }
  return kTypes[0];
}

}  // namespace

size_t SizeOf(DType dtype) { return Find(dtype).size; }

std::string_view Name(DType dtype) { return Find(dtype).name; }

std::optional<DType> ParseDType(std::string_view name) {
  for (const Entry& entry : kTypes) {
    if (entry.name == name) return entry.dtype;
  }
  return std::nullopt;
}

}  // namespace ppx::weights
