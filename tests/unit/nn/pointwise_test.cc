#include "nn/pointwise.h"

#include <cmath>
#include <limits>

#include "support/each_isa.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

using test::CheckClose;
using test::CheckEqual;

// float32: sums in another order. bfloat16: half a unit of its 8 bits, for each rounding.
double Tolerance(at::ScalarType type, int roundings) {
  return type == at::kFloat ? 1e-6 : roundings / 256.0;
}

TEST_CASE("RMSNorm in one pass gives what tensor operations give, for widths of every rest") {
  test::Seed(30);
  test::ForEachIsa([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t dim : {1, 2, 15, 16, 17, 33, 64, 100, 129, 1024, 4096}) {
        CAPTURE(dim);
        const at::Tensor x = (at::randn({3, 2, dim}) * 3).to(type);
        const at::Tensor alpha = at::rand({dim}) + 0.5;
        const at::Tensor y = RmsNorm(x, alpha);
        CHECK((y.scalar_type() == type));
        CheckClose(y, RmsNormPlain(x, alpha), Tolerance(type, 1));
        // A row alone, and rows that do not lie one after another.
        CheckEqual(RmsNorm(x[1].narrow(0, 1, 1), alpha)[0], y[1][1]);
        CheckEqual(RmsNorm(x.transpose(0, 1), alpha), y.transpose(0, 1));
      }
    }
  });
}

TEST_CASE("RMSNorm of nothing, of zeros and of what is no number") {
  test::ForEachIsa([] {
    const at::Tensor alpha = at::ones({20});
    CHECK(RmsNorm(at::zeros({0, 20}), alpha).sizes().vec() == std::vector<int64_t>{0, 20});
    CheckEqual(RmsNorm(at::zeros({2, 20}), alpha), at::zeros({2, 20}));
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      at::Tensor x = at::ones({2, 20}, type);
      x[0][18] = std::numeric_limits<float>::quiet_NaN();
      const at::Tensor y = RmsNorm(x, alpha);
      CHECK(y[0].isnan().all().item<bool>());
      CheckEqual(y[1], at::ones({20}));
    }
  });
}

TEST_CASE("the SiLU gate in one pass gives what tensor operations give, for widths of every rest") {
  test::Seed(31);
  test::ForEachIsa([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t half : {1, 2, 7, 16, 31, 32, 33, 100, 2816, 11264}) {
        CAPTURE(half);
        const at::Tensor x = (at::randn({3, 1, 2 * half}) * 3).to(type);
        const at::Tensor y = SiluGate(x);
        CHECK((y.scalar_type() == type));
        CheckClose(y, SiluGatePlain(x), Tolerance(type, 2));
        CheckEqual(SiluGate(x.narrow(0, 2, 1))[0], y[2]);
        CheckEqual(SiluGate(at::cat({x, x}, 1).select(1, 1)), y.squeeze(1));
      }
    }
    CHECK(SiluGate(at::zeros({0, 8})).sizes().vec() == std::vector<int64_t>{0, 4});
  });
}

TEST_CASE("GELU gives what tensor operations give, and the same bits wherever a number lies") {
  test::ForEachIsa([] {
    const at::Tensor x = at::arange(-15.0, 15.0, 0.0007, at::kFloat);
    const at::Tensor y = Gelu(x);
    const at::Tensor wide = x.to(at::kDouble);
    const at::Tensor exact = wide * 0.5 * at::special_erfc(-wide / std::sqrt(2.0));
    const at::Tensor error = (y.to(at::kDouble) - exact).abs();
    CHECK(error.max().item<double>() < 1e-6);
    CHECK((error / exact.abs()).masked_fill(x.lt(-5) | x.eq(0), 0).max().item<double>() < 1e-6);
    CheckClose(y, GeluPlain(x), 1e-6);
    for (const int64_t from : {1, 7, 1000}) {
      CheckEqual(Gelu(x.narrow(0, from, 3003)), y.narrow(0, from, 3003));
    }
    CheckEqual(Gelu(x.slice(0, 0, 3000, 3)), y.slice(0, 0, 3000, 3));
    const float infinity = std::numeric_limits<float>::infinity();
    const at::Tensor odd =
        Gelu(at::tensor({std::numeric_limits<float>::quiet_NaN(), infinity, 0.0F, -100.0F}));
    CHECK(odd[0].isnan().item<bool>());
    CheckEqual(odd.slice(0, 1), at::tensor({infinity, 0.0F, -0.0F}));
    CHECK(Gelu(at::zeros({0, 8})).sizes().vec() == std::vector<int64_t>{0, 8});
  });
}

TEST_CASE("the sigmoid is accurate to a few units of float32 wherever it is a normal number") {
  test::ForEachIsa([] {
    const at::Tensor a = at::arange(-87.0, 100.0, 0.001, at::kFloat);
    const at::Tensor y = SiluGate(at::cat({a, at::ones_like(a)}));
    const at::Tensor wide = a.to(at::kDouble);
    const at::Tensor exact = wide / (1 + at::exp(-wide));
    const at::Tensor error = ((y.to(at::kDouble) - exact) / exact).abs();
    // 0 / 0 at zero, which must be zero.
    CHECK(error.masked_fill(a.eq(0), 0).max().item<double>() < 5e-7);
    CHECK(y.masked_select(a.eq(0)).abs().sum().item<double>() == 0);
    // Beyond: nothing, or the input; never NaN.
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const at::Tensor far = at::tensor({-1e3F, 1e3F, -3e38F, 3e38F, kInfinity});
    const at::Tensor gated = SiluGate(at::cat({far, at::ones_like(far)}));
    CheckEqual(gated.clamp_max(3.1e38), at::tensor({-0.F, 1e3F, -0.F, 3e38F, 3.1e38F}));
    CHECK(
        SiluGate(at::tensor({std::numeric_limits<float>::quiet_NaN(), 1.F})).isnan().item<bool>());
  });
}

}  // namespace
}  // namespace ppx::nn
