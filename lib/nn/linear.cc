#include "nn/linear.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/matmul.h"

namespace ppx::nn {

Linear::Linear(at::Tensor weight, at::Tensor bias)
    : weight_(std::move(weight)), bias_(std::move(bias)) {}

Linear::Linear(kernels::PackedMatrix packed, at::Tensor bias)
    : packed_(std::move(packed)), bias_(std::move(bias)) {}

Linear::Linear(at::Tensor quantised, at::Tensor scales, at::Tensor bias)
    : weight_(std::move(quantised)), scales_(std::move(scales)), bias_(std::move(bias)) {}

at::Tensor Linear::WeightFor(const at::Tensor& x) const {
  const bool elsewhere = weight_.is_cpu() && !x.is_cpu();
  const at::Tensor weight =
      elsewhere ? weight_.to(x.device(), weight_.scalar_type(), /*non_blocking=*/true) : weight_;
  if (!scales_.defined()) return weight;
  // One pass: multiplied in float, rounded when it is written.
  at::Tensor wide = at::empty(weight.sizes(), x.options());
  return at::mul_out(wide, weight, scales_.unsqueeze(1));
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (weight_.defined()) return at::linear(x, WeightFor(x), bias_);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = packed_.outputs();
  at::Tensor y = at::empty(shape, x.options());
  Multiply(x, y, nullptr);
  return y;
}

void Linear::Multiply(const at::Tensor& x, at::Tensor& y, const kernels::BandWork* beside) const {
  const int64_t inputs = packed_.inputs();
  if (!x.is_cpu() || x.size(-1) != inputs) {
    base::ThrowInternal("a product of packed weights with a tensor that does not fit");
  }
  const bool in_place = x.dim() == 3 && x.stride(2) == 1;
  const at::Tensor rows = in_place ? x : x.contiguous();
  kernels::RowLayout layout{.rows = rows.numel() / inputs, .stride = inputs};
  if (in_place) {
    layout.stride = x.stride(1);
    layout.run = x.size(1);
    layout.run_stride = x.stride(0);
  }
  const float* bias = bias_.defined() ? bias_.const_data_ptr<float>() : nullptr;
  if (x.scalar_type() == at::kFloat) {
    kernels::MatMul(packed_, rows.const_data_ptr<float>(), layout, y.data_ptr<float>(),
                    packed_.outputs(), bias, beside);
  } else if (x.scalar_type() == at::kBFloat16) {
    kernels::MatMul(packed_,
                    reinterpret_cast<const kernels::Bf16*>(rows.const_data_ptr<at::BFloat16>()),
                    layout, reinterpret_cast<kernels::Bf16*>(y.data_ptr<at::BFloat16>()),
                    packed_.outputs(), bias, beside);
  } else {
    base::ThrowInternal("products are computed in float32 or bfloat16");
  }
}

}  // namespace ppx::nn
