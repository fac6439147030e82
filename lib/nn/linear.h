// lib/nn/linear.h: a matrix of a model's weights, and the product with it.
#pragma once

#include <ATen/ATen.h>

#include "kernels/packed_matrix.h"

namespace ppx::nn {

// As a tensor, on any device: LibTorch's product. Packed, on the CPU: lib/kernels', where a row of
// the result depends on no other row. Const and shareable; copies share the weights.
class Linear {
 public:
  Linear() = default;
  // weight: [outputs, inputs], bias: [outputs] or undefined; beside packed weights it is f32.
  explicit Linear(at::Tensor weight, at::Tensor bias = {});
  explicit Linear(kernels::PackedMatrix packed, at::Tensor bias = {});
  // quantised: [outputs, inputs] int8; scales: [outputs] f32.
  Linear(at::Tensor quantised, at::Tensor scales, at::Tensor bias);

  // x [..., inputs] -> [..., outputs], in x's type. Packed: f32 or bf16, which the form of the
  // weights must go with (kernels/matmul.h). Rows [n, T, inputs] that overlap, as the windows of a
  // convolution do, are not copied.
  at::Tensor operator()(const at::Tensor& x) const;

  // The tensor, undefined where the matrix is packed.
  const at::Tensor& weight() const { return weight_; }
  // Of a quantised weight, else undefined.
  const at::Tensor& scales() const { return scales_; }
  const kernels::PackedMatrix& packed() const { return packed_; }

 private:
  at::Tensor weight_;
  at::Tensor scales_;
  kernels::PackedMatrix packed_;
  at::Tensor bias_;
};

}  // namespace ppx::nn
