#include "nn/linear.h"

#include "base/error.h"
#include "support/packed_linear.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

using test::PackedLinear;

TEST_CASE("linear: packed weights give LibTorch's product, whatever the shape of the input") {
  test::Seed(3);
  const at::Tensor weight = at::randn({37, 65});
  const at::Tensor x = at::randn({3, 5, 65});
  const at::Tensor expected = at::linear(x, weight);
  const at::Tensor y = PackedLinear(weight, kernels::WeightForm::kF32)(x);
  test::CheckClose(y, expected);
  CHECK(at::equal(PackedLinear(weight, kernels::WeightForm::kF32)(x[1][2]), y[1][2]));
  const at::Tensor turned = x.transpose(0, 1).contiguous().transpose(0, 1);
  CHECK(at::equal(PackedLinear(weight, kernels::WeightForm::kF32)(turned), y));

  const at::Tensor narrow = PackedLinear(weight, kernels::WeightForm::kBf16)(x.to(at::kBFloat16));
  CHECK((narrow.scalar_type() == at::kBFloat16));
  test::CheckClose(narrow.to(at::kFloat), expected, 0.02);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor bytes = PackedLinear(weight, kernels::WeightForm::kInt8)(x.to(type));
    CHECK((bytes.scalar_type() == type));
    test::CheckClose(bytes.to(at::kFloat), expected, 0.03);
  }
}

TEST_CASE("linear: rows that overlap and a bias, as convolutions have them") {
  test::Seed(4);
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

TEST_CASE("linear: a quantised tensor is the matrix that it stands for") {
  test::Seed(5);
  const at::Tensor quantised = at::randint(-127, 128, {37, 65}, at::kChar);
  const at::Tensor scales = at::rand({37}) * 0.02;
  const at::Tensor bias = at::randn({37});
  const Linear matrix(quantised, scales, at::Tensor());
  CHECK((matrix.weight().scalar_type() == at::kChar));
  CHECK(matrix.scales().defined());
  const at::Tensor dense = quantised.to(at::kFloat) * scales.unsqueeze(1);
  CHECK_FALSE(Linear(dense).scales().defined());
  CHECK_FALSE(PackedLinear(dense, kernels::WeightForm::kInt8).scales().defined());
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({3, 5, 65}).to(type);
    const at::Tensor y = matrix(x);
    CHECK((y.scalar_type() == type));
    CHECK(at::equal(y, at::linear(x, dense.to(type))));
    const at::Tensor one = x[2][4];
    CHECK(at::equal(Linear(quantised, scales, bias.to(type))(one),
                    at::linear(one, dense.to(type), bias.to(type))));
  }
}

TEST_CASE("linear: what does not fit is refused") {
  const Linear packed = PackedLinear(at::randn({4, 8}), kernels::WeightForm::kF32);
  CHECK_THROWS_AS(packed(at::randn({2, 9})), base::Error);
  CHECK_THROWS_AS(packed(at::randn({2, 8}).to(at::kDouble)), base::Error);
  CHECK_THROWS_AS(packed(at::randn({2, 8}).to(at::kBFloat16)), base::Error);
}

}  // namespace
}  // namespace ppx::nn
