// lib/nn/linear.h: a matrix of a model's weights, and the product with it.
#pragma once

#include <ATen/ATen.h>

#include "kernels/matmul.h"

namespace ppx::nn {

// As a tensor, on any device: LibTorch's product. A quantised tensor, on any device too: the same
// with the matrix that it stands for, made anew for each product: right, but slow with few rows,
// where lm/cuda has kernels of its own. Packed, on the CPU: lib/kernels', where a row of the result
// depends on no other row. Const and shareable; copies share the weights.
//
// A tensor that lies in host memory while x is on a GPU is copied over for each product, in stream
// order.
class Linear {
 public:
  Linear() = default;
  // weight: [outputs, inputs], bias: [outputs] or undefined; beside packed weights it is f32.
  explicit Linear(at::Tensor weight, at::Tensor bias = {});
  explicit Linear(kernels::PackedMatrix packed, at::Tensor bias = {});
  // quantised: [outputs, inputs] int8, scales: [outputs] f32 on the device of the products: a
  // weight is scale * q, as in kernels::WeightForm::kInt8. bias as with a tensor.
  Linear(at::Tensor quantised, at::Tensor scales, at::Tensor bias);

  // x [..., inputs] -> [..., outputs], in x's type. Packed: f32 or bf16, which the form of the
  // weights must go with (kernels/matmul.h). Rows [n, T, inputs] that overlap, as the windows of a
  // convolution do, are not copied.
  at::Tensor operator()(const at::Tensor& x) const;
  // The same of packed weights, to y, which is contiguous, and work on it (kernels/matmul.h).
  void Multiply(const at::Tensor& x, at::Tensor& y, const kernels::BandWork* beside) const;

  // The tensor, int8 where the matrix is quantised; undefined where it is packed.
  const at::Tensor& weight() const { return weight_; }
  // Undefined where the matrix is no quantised tensor.
  const at::Tensor& scales() const { return scales_; }
  const kernels::PackedMatrix& packed() const { return packed_; }
  const at::Tensor& bias() const { return bias_; }

 private:
  // The tensor to multiply x with, where x is and in its type.
  at::Tensor WeightFor(const at::Tensor& x) const;

  at::Tensor weight_;
  at::Tensor scales_;
  kernels::PackedMatrix packed_;
  at::Tensor bias_;
};

}  // namespace ppx::nn
