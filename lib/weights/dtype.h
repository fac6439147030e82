// lib/weights/dtype.h: the element types of stored tensors.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace ppx::weights {

enum class DType { kF64, kF32, kF16, kBf16, kI64, kI32, kI16, kI8, kU8, kBool };

// Bytes of one element.
size_t SizeOf(DType dtype);
// The name that safetensors files use: "F32", "BF16", "I64" ...
std::string_view Name(DType dtype);
std::optional<DType> ParseDType(std::string_view name);

}  // namespace ppx::weights
