#include "nn/cuda/trust.h"

#include <cmath>
#include <stdexcept>
#include <string>

#include "support/doctest_torch.h"

namespace ppx::nn {
namespace {

TEST_CASE("a reason is one of LibTorch's without its backtrace, and any other as it is") {
  CHECK(ReasonOf(std::runtime_error("out of order")) == "out of order");
  const c10::Error of_torch({"Function", "file.cc", 7}, "no such stream");
  const std::string whole = of_torch.what();
  REQUIRE(whole.find("file.cc:7") != std::string::npos);
  CHECK(ReasonOf(of_torch) == "no such stream");
  // A lack of memory is a c10::Error too.
  CHECK(ReasonOf(c10::OutOfMemoryError({"Function", "file.cc", 7}, "too large")) == "too large");
}

TEST_CASE("close is within the norm, and a NaN never") {
  const at::Tensor ones = at::ones({100});
  CHECK(Close(ones * 1.009, ones, 0.01));
  CHECK(!Close(ones * 1.011, ones, 0.01));
  CHECK(!Close(ones * 0.01, at::zeros({100}), 0.01));
  CHECK(Close(ones * 0.01, at::zeros({100}), 0.01, /*absolute=*/0.011));
  at::Tensor with_nan = ones.clone();
  with_nan[3] = std::nanf("");
  CHECK(!Close(with_nan, ones, 0.01));
  CHECK(!Close(ones, with_nan, 0.01));
}

}  // namespace
}  // namespace ppx::nn
