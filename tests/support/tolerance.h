// tests/support/tolerance.h: comparison of tensors that says where they differ most.
#pragma once

#include "support/doctest_torch.h"

namespace ppx::test {

// Every |actual - expected| is at most `relative` times the largest |expected|: errors of float32
// sums grow with the terms, not with a result that happens to be near zero.
inline void CheckClose(const at::Tensor& actual, const at::Tensor& expected,
                       double relative = 1e-4) {
  REQUIRE(actual.sizes().vec() == expected.sizes().vec());
  if (expected.numel() == 0) return;
  const at::Tensor a = actual.to(at::kCPU, at::kDouble).contiguous().view({-1});
  const at::Tensor e = expected.to(at::kCPU, at::kDouble).contiguous().view({-1});
  const at::Tensor difference = (a - e).abs();
  const auto worst = difference.argmax().item<int64_t>();
  const double bound = relative * e.abs().max().item<double>();
  INFO("worst index ", worst, ": ", a[worst].item<double>(), ", expected ", e[worst].item<double>(),
       "; ", difference.gt(bound).sum().item<int64_t>(), " of ", e.numel(), " outside ", bound);
  CHECK(difference[worst].item<double>() <= bound);
}

inline void CheckEqual(const at::Tensor& actual, const at::Tensor& expected) {
  REQUIRE(actual.sizes().vec() == expected.sizes().vec());
  CHECK(at::equal(actual.to(at::kCPU, at::kDouble), expected.to(at::kCPU, at::kDouble)));
}

}  // namespace ppx::test
