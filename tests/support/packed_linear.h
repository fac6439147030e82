// tests/support/packed_linear.h: a matrix in a form of lib/kernels, as the CPU multiplies with it.
#pragma once

#include "nn/linear.h"
#include "support/doctest_torch.h"

namespace ppx::test {

// weight: [outputs, inputs].
inline nn::Linear PackedLinear(const at::Tensor& weight, kernels::WeightForm form) {
  const at::Tensor wide = weight.to(at::kFloat).contiguous();
  return nn::Linear(kernels::PackedMatrix(
      form, {.data = wide.const_data_ptr(), .outputs = weight.size(0), .inputs = weight.size(1)}));
}

}  // namespace ppx::test
