// lib/nn/debug_tap.h: a look at values on the way, for golden tests and --trace.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string_view>

namespace ppx::nn {

// Called with a name and a value while a model computes; empty where nobody looks. The tensor is
// only valid as it is during the call: clone what is kept.
using DebugTap = std::function<void(std::string_view name, const at::Tensor& value)>;

}  // namespace ppx::nn
