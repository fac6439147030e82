#include "nn/linear.h"

#include "base/error.h"
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

Linear Packed(const at::Tensor& weight, kernels::WeightForm form) {
  const at::Tensor wide = weight.to(at::kFloat).contiguous();
  return Linear(kernels::PackedMatrix(
      form, {.data = wide.const_data_ptr(), .outputs = weight.size(0), .inputs = weight.size(1)}));
}

TEST_CASE("linear: packed weights give LibTorch's product, whatever the shape of the input") {
  at::manual_seed(3);
  const at::Tensor weight = at::randn({37, 65});
  const at::Tensor x = at::randn({3, 5, 65});
  const at::Tensor expected = at::linear(x, weight);
  const at::Tensor y = Packed(weight, kernels::WeightForm::kF32)(x);
  test::CheckClose(y, expected);
  CHECK(at::equal(Packed(weight, kernels::WeightForm::kF32)(x[1][2]), y[1][2]));
  const at::Tensor turned = x.transpose(0, 1).contiguous().transpose(0, 1);
  CHECK(at::equal(Packed(weight, kernels::WeightForm::kF32)(turned), y));

  const at::Tensor narrow = Packed(weight, kernels::WeightForm::kBf16)(x.to(at::kBFloat16));
  CHECK((narrow.scalar_type() == at::kBFloat16));
  test::CheckClose(narrow.to(at::kFloat), expected, 0.02);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor bytes = Packed(weight, kernels::WeightForm::kInt8)(x.to(type));
    CHECK((bytes.scalar_type() == type));
    test::CheckClose(bytes.to(at::kFloat), expected, 0.03);
  }
}

TEST_CASE("linear: rows that overlap and a bias, as convolutions have them") {
  at::manual_seed(4);
  const at::Tensor weight = at::randn({37, 3 * 8});
  const at::Tensor bias = at::randn({37});
  const at::Tensor x = at::randn({3, 11, 8});
  // Windows of 3 steps, every second one.
  const at::Tensor windows = x.as_strided({3, 5, 3 * 8}, {11 * 8, 2 * 8, 1});
  const kernels::PackedMatrix packed(
      kernels::WeightForm::kF32,
      {.data = weight.const_data_ptr(), .outputs = weight.size(0), .inputs = weight.size(1)});
  const at::Tensor y = Linear(packed, bias)(windows);
  test::CheckClose(y, Linear(weight, bias)(windows), 1e-5);
  test::CheckClose(y, at::linear(windows.contiguous(), weight) + bias, 1e-5);
  CHECK(at::equal(Linear(packed, bias)(windows.contiguous()), y));
}

TEST_CASE("linear: what does not fit is refused") {
  const Linear packed = Packed(at::randn({4, 8}), kernels::WeightForm::kF32);
  CHECK_THROWS_AS(packed(at::randn({2, 9})), base::Error);
  CHECK_THROWS_AS(packed(at::randn({2, 8}).to(at::kDouble)), base::Error);
  CHECK_THROWS_AS(packed(at::randn({2, 8}).to(at::kBFloat16)), base::Error);
}

}  // namespace
}  // namespace ppx::nn
