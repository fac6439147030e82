#include "nn/weight_loader.h"

#include <limits>

#include "base/error.h"
#include "support/memory_checkpoint.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

TEST_CASE("tensors are used where they lie, or converted once") {
  const auto file = test::MemoryCheckpoint({{"a", at::ones({2, 3}, at::kBFloat16)}});
  WeightLoader same(file, {.device = at::kCPU, .dtype = at::kBFloat16});
  CHECK(same.Take("a", {2, 3}).const_data_ptr() == file->Find("a")->data.data());
  WeightLoader wide(file, {.device = at::kCPU, .dtype = at::kFloat});
  test::CheckEqual(wide.Take("a", {2, 3}), at::ones({2, 3}));
  CHECK(wide.ShapeOf("a") == std::vector<int64_t>{2, 3});
  CHECK(wide.ShapeOf("b").empty());
}

// What the CPU's kernels understand by the matrix in int8.
at::Tensor AsInt8(const at::Tensor& weight) {
  const at::Tensor wide = weight.to(at::kFloat).contiguous();
  const kernels::PackedMatrix packed(
      kernels::WeightForm::kInt8,
      {.data = wide.const_data_ptr(), .outputs = wide.size(0), .inputs = wide.size(1)});
  const at::Tensor numbers = at::empty_like(wide);
  for (int64_t row = 0; row < wide.size(0); ++row) {
    packed.Unpack(row, numbers[row].data_ptr<float>());
  }
  return numbers;
}

at::Tensor Numbers(const Linear& quantised) {
  return quantised.weight().to(at::kFloat) * quantised.scales().unsqueeze(1);
}

TEST_CASE("quantised tensors hold the numbers that packed matrices hold") {
  test::Seed(6);
  at::Tensor odd = at::randn({37, 65});
  odd[3].zero_();
  odd[4].abs_().neg_();  // the largest is negative
  // Halves of a step: ties.
  odd[5] = (at::arange(65, at::kFloat) - 32) / 2;
  odd[5][64] = 127;
  // More than is quantised at once.
  const at::Tensor large = at::randn({5, 400001}).to(at::kBFloat16);
  const auto file = test::MemoryCheckpoint(
      {{"odd", odd}, {"narrow", (odd * 0.01).to(at::kBFloat16)}, {"large", large}});
  WeightLoader loader(file, {.dtype = at::kBFloat16, .int8 = true});
  for (const std::string name : {"odd", "narrow", "large"}) {
    CAPTURE(name);
    const at::Tensor stored = TensorOverView(*file->Find(name));
    const std::vector<int64_t> shape = stored.sizes().vec();
    const at::Tensor expected = AsInt8(stored);
    const Linear matrix = loader.TakeLinear(name, shape);
    CHECK((matrix.weight().scalar_type() == at::kChar));
    CHECK((matrix.scales().scalar_type() == at::kFloat));
    CHECK(at::equal(Numbers(matrix), expected));
    CHECK(at::equal(Numbers(loader.TakeLinearRows(name, shape, 1, 3)), expected.narrow(0, 1, 3)));
    CHECK(at::equal(Numbers(loader.TakeLinearOnHost(name, shape)), expected));
  }
  CHECK(loader.TakeLinear("odd", {37, 65}).weight()[5].abs().max().item<int64_t>() == 127);
  loader.Finish();
  loader.TakeLinear("absent", {4, 4});
  CHECK_THROWS_AS(loader.Finish(), base::Error);
}

TEST_CASE("matrices left on the host are used where they lie") {
  const auto file = test::MemoryCheckpoint({{"a", at::rand({6, 4}).to(at::kBFloat16)}});
  WeightLoader loader(file, {.dtype = at::kBFloat16, .matrices_on_host = true});
  const auto* data = reinterpret_cast<const char*>(file->Find("a")->data.data());
  const Linear rows = loader.TakeLinearRows("a", {6, 4}, 2, 3);
  CHECK(rows.weight().const_data_ptr() == data + 2 * 4 * sizeof(at::BFloat16));
  CHECK(rows.weight().sizes().vec() == std::vector<int64_t>{3, 4});
}

TEST_CASE("all faults of a checkpoint are one error") {
  at::Tensor spoiled = at::ones({4});
  spoiled[2] = std::numeric_limits<float>::quiet_NaN();
  at::Tensor spoiled_bf16 = at::ones({5}, at::kBFloat16);
  spoiled_bf16[4] = std::numeric_limits<float>::infinity();
  const auto file = test::MemoryCheckpoint({{"good", at::ones({2})},
                                            {"short", at::ones({2, 2})},
                                            {"nan", spoiled},
                                            {"inf", spoiled_bf16},
                                            {"integer", at::ones({2}, at::kLong)}});
  WeightLoader loader(file, {});
  loader.Take("good", {2});
  CHECK_NOTHROW(loader.Finish());
  loader.Take("short", {2, 3});
  loader.Take("nan", {4});
  loader.TakeFloat("inf", {5});
  loader.Take("integer", {2});
  CHECK(loader.Take("absent", {7, 8}).sizes().vec() == std::vector<int64_t>{7, 8});
  try {
    loader.Finish();
    FAIL("no error");
  } catch (const base::Error& error) {
    const std::string text = error.what();
    CHECK(error.code() == base::ErrorCode::kBadInput);
    for (const char* part :
         {"5 of its tensors", "short: shape [2, 2], expected [2, 3]", "nan: holds numbers",
          "inf: holds numbers", "integer: type I64", "absent: missing, expected shape [7, 8]"}) {
      CAPTURE(part);
      CHECK(text.find(part) != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace ppx::nn
