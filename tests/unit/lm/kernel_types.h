// tests/unit/lm/kernel_types.h: tensors as the kernels of lm/cuda see them.
#pragma once

#include <ATen/ATen.h>

#include "lm/cuda/kernel.cuh"
#include "support/doctest_torch.h"

namespace ppx::test {

template <class T>
constexpr at::ScalarType kType = at::kFloat;
template <>
constexpr at::ScalarType kType<lm::cuda::Bf16> = at::kBFloat16;

// Where both sides round the same sums, taken in another order: float32 to a few of its bits,
// bfloat16 at times to a neighbour.
template <class T>
constexpr double kTolerance = kType<T> == at::kFloat ? 2e-6 : 1.0 / 128;

template <class T>
T* Data(const at::Tensor& tensor) {
  REQUIRE((tensor.is_contiguous() && tensor.scalar_type() == kType<T>));
  return static_cast<T*>(tensor.data_ptr());
}

}  // namespace ppx::test
