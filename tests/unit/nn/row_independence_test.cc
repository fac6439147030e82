// What batches stand on: a row of a product has the same bits wherever it lies and whoever lies
// beside it, as long as the number of rows is the same. It is LibTorch's kernels that must hold it;
// in float32 they do for whole eights of rows (and not for 5), which Engine::RowsPerStep sees to.
#include "support/tolerance.h"

namespace ppx::nn {
namespace {

TEST_CASE("a row of a product depends neither on its place nor on the other rows") {
  at::manual_seed(20);
  // Widths of the released model's layers (fewer outputs), and small ones.
  const std::vector<std::pair<int64_t, int64_t>> shapes{
      {1536, 4096}, {512, 11264}, {96, 1024}, {80, 144}};
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const std::vector<int64_t> counts = dtype == at::kFloat
                                            ? std::vector<int64_t>{8, 16, 24, 32, 40, 64}
                                            : std::vector<int64_t>{2, 3, 4, 5, 8, 16, 31};
    for (const auto& [outputs, inputs] : shapes) {
      const at::Tensor weight = at::randn({outputs, inputs}).to(dtype);
      const at::Tensor row = at::randn({1, inputs}).to(dtype);
      for (const int64_t rows : counts) {
        CAPTURE(dtype);
        CAPTURE(inputs);
        CAPTURE(rows);
        at::Tensor expected;
        for (int64_t place = 0; place < rows; ++place) {
          at::Tensor x = at::randn({rows, inputs}).to(dtype);
          x.select(0, place).copy_(row[0]);
          const at::Tensor y = at::linear(x, weight).select(0, place);
          if (!expected.defined()) expected = y;
          CHECK(at::equal(y, expected));
        }
      }
    }
  }
}

}  // namespace
}  // namespace ppx::nn
