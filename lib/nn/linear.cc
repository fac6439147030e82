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

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (scales_.defined()) {
    const at::Tensor wide = weight_.to(at::kFloat) * scales_.unsqueeze(1);
    return at::linear(x, wide.to(x.scalar_type()), bias_);
  }
  if (weight_.defined()) return at::linear(x, weight_, bias_);
  const int64_t inputs = packed_.inputs();
  if (!x.is_cpu() || x.size(-1) != inputs) {
    base::ThrowInternal("a product of packed weights with a tensor that does not fit");
  }
  const bool in_place = x.dim() == 3 && x.stride(2) == 1;
  const at::Tensor rows = in_place ? x : x.contiguous();
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = packed_.outputs();
  at::Tensor y = at::empty(shape, x.options());
  kernels::RowLayout layout{.rows = rows.numel() / inputs, .stride = inputs};
  if (in_place) {
    layout.stride = x.stride(1);
    layout.run = x.size(1);
    layout.run_stride = x.stride(0);
  }
  const float* bias = bias_.defined() ? bias_.const_data_ptr<float>() : nullptr;
  if (x.scalar_type() == at::kFloat) {
    kernels::MatMul(packed_, rows.const_data_ptr<float>(), layout, y.data_ptr<float>(),
                    packed_.outputs(), bias);
  } else if (x.scalar_type() == at::kBFloat16) {
    kernels::MatMul(packed_,
                    reinterpret_cast<const kernels::Bf16*>(rows.const_data_ptr<at::BFloat16>()),
                    layout, reinterpret_cast<kernels::Bf16*>(y.data_ptr<at::BFloat16>()),
                    packed_.outputs(), bias);
  } else {
    base::ThrowInternal("products are computed in float32 or bfloat16");
  }
  return y;
}

}  // namespace ppx::nn
