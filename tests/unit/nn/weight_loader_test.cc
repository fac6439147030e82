#include "nn/weight_loader.h"

#include <limits>

#include "base/error.h"
#include "support/memory_checkpoint.h"
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
