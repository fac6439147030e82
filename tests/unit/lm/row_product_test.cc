// The product of few rows, and what is fused with it, on the host against the plain operations.
#include "lm/cuda/row_product.cuh"

#include "kernel_types.h"
#include "lm/cuda/dequantise.cuh"
#include "nn/pointwise.h"
#include "support/host_team.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace ppx::lm {
namespace {

using test::CheckClose;
using test::CheckEqual;
using test::Data;
using test::kTolerance;
using test::kType;

// A matrix as the kernel reads it, and as numbers.
struct Matrix {
  at::Tensor stored;
  at::Tensor scales;  // undefined: none
  at::Tensor wide;    // f32
};

template <class W>
Matrix RandomMatrix(int outputs, int inputs) {
  if constexpr (std::is_same_v<W, int8_t>) {
    const at::Tensor stored = at::randint(-128, 128, {outputs, inputs}).to(at::kChar);
    const at::Tensor scales = at::rand({outputs}) * 0.01 + 0.001;
    return {stored, scales, stored.to(at::kFloat) * scales.unsqueeze(1)};
  } else {
    const at::Tensor stored = at::randn({outputs, inputs}).to(kType<W>);
    return {stored, {}, stored.to(at::kFloat)};
  }
}

template <class T, class W, int kRows>
struct ProductCase {
  using Kernel = cuda::RowProductKernel<T, W, kRows>;

  ProductCase(int rows, int outputs, int inputs, bool gated, int split, int blocks)
      : matrix(RandomMatrix<W>(outputs, inputs)),
        x(at::randn({rows, inputs}).to(kType<T>)),
        output(at::full({rows, gated ? outputs / 2 : outputs}, 99).to(kType<T>)) {
    kernel.x = Data<T>(x);
    kernel.eps = nn::kRmsNormEps;
    kernel.weights = static_cast<const W*>(matrix.stored.const_data_ptr());
    if (matrix.scales.defined()) kernel.scales = matrix.scales.template const_data_ptr<float>();
    kernel.output = Data<T>(output);
    kernel.rows = rows;
    kernel.inputs = inputs;
    kernel.outputs = outputs;
    kernel.gated = gated;
    kernel.split = split;
    kernel.blocks = blocks;
  }
  // What a product in f32, stored as a T, gives.
  at::Tensor Plain(const at::Tensor& from) const {
    return at::linear(from.to(at::kFloat), matrix.wide).to(kType<T>);
  }
  void Check(const at::Tensor& expected, int threads) {
    CAPTURE(threads);
    threads == 1 ? test::RunSerial(kernel) : test::RunThreads(kernel, threads);
    // The sums are long and signed: the bound is of the largest result.
    CheckClose(output, expected, 4 * kTolerance<T>);
    output.fill_(99);
  }

  Matrix matrix;
  at::Tensor x;
  at::Tensor output;
  Kernel kernel{};
};

template <class T, class W, int kRows>
void CheckProducts(int rows) {
  CAPTURE(rows);
  for (const int outputs : {1, 6, 131}) {
    for (const int inputs : {16, 80, 1040}) {
      for (const int split : {1, 4, 32}) {
        CAPTURE(outputs);
        CAPTURE(inputs);
        CAPTURE(split);
        ProductCase<T, W, kRows> c(rows, outputs, inputs, false, split, 2);
        c.Check(c.Plain(c.x), 1);
      }
    }
  }
}

template <class T, class W>
void CheckAllRows() {
  CheckProducts<T, W, 1>(1);
  CheckProducts<T, W, 2>(2);
  CheckProducts<T, W, 4>(3);
  CheckProducts<T, W, 4>(4);
  CheckProducts<T, W, 8>(5);
  CheckProducts<T, W, 8>(8);
}

TEST_CASE("every int8 is the number that it was") {
  for (int q = -128; q < 128; ++q) {
    cuda::Word word{};
    for (int i = 0; i < 16; ++i) {
      word.bits[i / 4] |= static_cast<uint32_t>(static_cast<uint8_t>(i == 5 ? q : 77)) << i % 4 * 8;
    }
    CHECK(cuda::InWord<int8_t>(word, 5) == static_cast<float>(q));
    CHECK(cuda::InWord<int8_t>(word, 15) == 77);
  }
}

TEST_CASE("products of few rows are at::linear's") {
  test::Seed(31);
  CheckAllRows<float, float>();
  CheckAllRows<float, int8_t>();
  CheckAllRows<cuda::Bf16, cuda::Bf16>();
  CheckAllRows<cuda::Bf16, int8_t>();
}

TEST_CASE_TEMPLATE("by many threads", T, float, cuda::Bf16) {
  test::Seed(32);
  ProductCase<T, int8_t, 4> c(3, 70, 528, false, 4, 1);
  c.Check(c.Plain(c.x), 48);
  c.Check(c.Plain(c.x), 512);
}

TEST_CASE_TEMPLATE("a row's bits depend on no other row, nor on the number of blocks", T, float,
                   cuda::Bf16) {
  test::Seed(33);
  ProductCase<T, T, 8> many(7, 37, 336, false, 2, 3);
  test::RunThreads(many.kernel, 32);
  ProductCase<T, T, 1> one(1, 37, 336, false, 2, 1);
  one.kernel.weights = many.kernel.weights;
  for (int row = 0; row < 7; ++row) {
    one.x.copy_(many.x.narrow(0, row, 1));
    test::RunThreads(one.kernel, 32);
    CheckEqual(one.output[0], many.output[row]);
  }
}

TEST_CASE_TEMPLATE("the norm in front of a product is RmsNorm", T, float, cuda::Bf16) {
  test::Seed(34);
  for (const int threads : {1, 48}) {
    ProductCase<T, T, 4> c(3, 50, 1040, false, 2, threads == 1 ? 2 : 1);
    const at::Tensor alpha = at::rand({1040}) + 0.5;
    c.kernel.alpha = alpha.const_data_ptr<float>();
    // A rounding of the normalised value at its edge moves one factor of a sum.
    c.Check(c.Plain(nn::RmsNorm(c.x, alpha)), threads);
  }
  CHECK(cuda::RowProductKernel<T, T, 4>::NormFits(2, 4096));
  CHECK(!cuda::RowProductKernel<T, T, 4>::NormFits(2, 16384));
}

TEST_CASE_TEMPLATE("the gate behind a product is SiluGate", T, float, cuda::Bf16) {
  test::Seed(35);
  for (const int threads : {1, 48}) {
    for (const int hidden : {1, 5, 66}) {
      for (const int split : {1, 16}) {
        CAPTURE(hidden);
        CAPTURE(split);
        ProductCase<T, int8_t, 2> c(2, 2 * hidden, 80, true, split, 2);
        c.Check(nn::SiluGatePlain(c.Plain(c.x)), threads);
      }
    }
  }
}

TEST_CASE_TEMPLATE("what a product is added to", T, float, cuda::Bf16) {
  test::Seed(36);
  ProductCase<T, T, 4> c(3, 21, 48, false, 2, 1);
  const at::Tensor plain = c.Plain(c.x);
  const at::Tensor table = at::randn({5, 21}).to(kType<T>);
  c.kernel.addend = Data<T>(table);
  c.Check(plain + table.narrow(0, 0, 3), 48);
  const std::vector<int32_t> table_rows{4, 77, -1, 77, 0, 77};  // every second one is used
  c.kernel.addend_rows = table_rows.data();
  c.kernel.addend_stride = 2;
  c.Check(at::stack({plain[0] + table[4], plain[1], plain[2] + table[0]}), 48);
  // The residual stream, in place.
  const at::Tensor stream = table.narrow(0, 0, 3).clone();
  c.kernel.addend_rows = nullptr;
  c.kernel.addend = c.kernel.output;
  c.output.copy_(stream);
  c.Check(plain + stream, 48);
}

TEST_CASE("a product is split until it fills a GPU or its inputs are used up") {
  using Kernel = cuda::RowProductKernel<cuda::Bf16, cuda::Bf16, 1>;
  CHECK(Kernel::Split(32000, 4096, 256) == 2);
  CHECK(Kernel::Split(4096, 4096, 256) == 8);
  CHECK(Kernel::Split(1024, 1024, 256) == 8);  // 128 words, 16 lanes
  CHECK(Kernel::Split(4, 16, 256) == 1);
}

TEST_CASE_TEMPLATE("a quantised matrix as numbers", T, float, cuda::Bf16) {
  test::Seed(37);
  for (const int inputs : {5, 24, 1111}) {
    const Matrix matrix = RandomMatrix<int8_t>(7, inputs);
    const at::Tensor output = at::empty({7, inputs}, kType<T>);
    const cuda::DequantiseKernel<T> kernel{.weights = matrix.stored.const_data_ptr<int8_t>(),
                                           .scales = matrix.scales.const_data_ptr<float>(),
                                           .output = Data<T>(output),
                                           .outputs = 7,
                                           .inputs = inputs};
    for (const int threads : {1, 48}) {
      threads == 1 ? test::RunSerial(kernel) : test::RunThreads(kernel, threads);
      CheckEqual(output, matrix.wide.to(kType<T>));
      output.fill_(99);
    }
  }
}

}  // namespace
}  // namespace ppx::lm
