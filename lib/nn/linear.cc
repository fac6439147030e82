#include "nn/linear.h"

#include <utility>
#include <vector>

#include "base/error.h"
#include "kernels/matmul.h"

namespace ppx::nn {

Linear::Linear(at::Tensor weight) : weight_(std::move(weight)) {}

Linear::Linear(kernels::PackedMatrix packed) : packed_(std::move(packed)) {}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (weight_.defined()) return at::linear(x, weight_);
  const int64_t inputs = packed_.inputs();
  if (!x.is_cpu() || x.size(-1) != inputs) {
    base::ThrowInternal("a product of packed weights with a tensor that does not fit");
  }
  const at::Tensor rows = x.contiguous();
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = packed_.outputs();
  at::Tensor y = at::empty(shape, x.options());
  const kernels::RowLayout layout{.rows = rows.numel() / inputs, .stride = inputs};
  if (x.scalar_type() == at::kFloat) {
    kernels::MatMul(packed_, rows.const_data_ptr<float>(), layout, y.data_ptr<float>(),
                    packed_.outputs());
  } else if (x.scalar_type() == at::kBFloat16) {
    kernels::MatMul(
        packed_, reinterpret_cast<const kernels::Bf16*>(rows.const_data_ptr<at::BFloat16>()),
        layout, reinterpret_cast<kernels::Bf16*>(y.data_ptr<at::BFloat16>()), packed_.outputs());
  } else {
    base::ThrowInternal("products are computed in float32 or bfloat16");
  }
  return y;
}

}  // namespace ppx::nn
