#include "kernels/matmul.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <random>
#include <vector>

#include "base/error.h"
#include "kernels/isa.h"
#include "kernels/number_formats.h"
#include "kernels/panel.h"
#include "support/doctest.h"

namespace ppx::kernels {
namespace {

constexpr WeightForm kForms[] = {WeightForm::kF32, WeightForm::kBf16, WeightForm::kInt8,
                                 WeightForm::kInt4};

class LowerIsa {
 public:
  explicit LowerIsa(Isa isa) : before_(CurrentIsa()) { UseIsa(isa); }
  ~LowerIsa() { UseIsa(before_); }
  LowerIsa(const LowerIsa&) = delete;
  LowerIsa& operator=(const LowerIsa&) = delete;

 private:
  Isa before_;
};

std::vector<float> Numbers(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = normal(random);
  return numbers;
}

std::vector<Bf16> Rounded(const std::vector<float>& numbers) {
  std::vector<Bf16> rounded;
  for (const float number : numbers) rounded.push_back(ToBf16(number));
  return rounded;
}

PackedMatrix Matrix(WeightForm form, int64_t outputs, int64_t inputs, unsigned seed = 1) {
  const std::vector<float> numbers = Numbers(outputs * inputs, seed);
  return {form, {.data = numbers.data(), .outputs = outputs, .inputs = inputs}};
}

// The product of what the kernels are given, in double precision.
std::vector<double> Exact(const PackedMatrix& w, const std::vector<float>& x,
                          const RowLayout& layout, const std::vector<float>& bias) {
  std::vector<double> y;
  std::vector<float> weights(static_cast<size_t>(w.inputs()));
  for (int64_t row = 0; row < layout.rows; ++row) {
    for (int64_t o = 0; o < w.outputs(); ++o) {
      w.Unpack(o, weights.data());
      double sum = bias.empty() ? 0 : bias[static_cast<size_t>(o)];
      for (int64_t i = 0; i < w.inputs(); ++i) {
        sum += static_cast<double>(x[static_cast<size_t>(layout.Offset(row) + i)]) *
               weights[static_cast<size_t>(i)];
      }
      y.push_back(sum);
    }
  }
  return y;
}

std::vector<float> Product(const PackedMatrix& w, const std::vector<float>& x,
                           const RowLayout& layout, const std::vector<float>& bias = {}) {
  std::vector<float> y(static_cast<size_t>(layout.rows * w.outputs()), NAN);
  const float* added = bias.empty() ? nullptr : bias.data();
  if (w.form() == WeightForm::kBf16) {
    const std::vector<Bf16> narrow = Rounded(x);
    std::vector<Bf16> result(y.size());
    MatMul(w, narrow.data(), layout, result.data(), w.outputs(), added);
    for (size_t i = 0; i < y.size(); ++i) y[i] = FromBf16(result[i]);
  } else {
    MatMul(w, x.data(), layout, y.data(), w.outputs(), added);
  }
  return y;
}

// What rounding of the activations may cost: of rows of normal numbers, relative to the sum's size.
double Tolerance(WeightForm form, int64_t inputs) {
  const double size = std::sqrt(static_cast<double>(inputs));
  switch (form) {
    case WeightForm::kF32:
      return 1e-5 * size;
    case WeightForm::kBf16:
      return 0.02 * size + 0.02;
    default:
      return 0.04 * size;
  }
}

struct Shape {
  int64_t rows, outputs, inputs;
};

}  // namespace

TEST_CASE("matmul: the product of what is stored, in every form and on every instruction set") {
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > BestIsa()) continue;
    const LowerIsa lower(isa);
    for (const WeightForm form : kForms) {
      for (const auto& [rows, outputs, inputs] :
           {Shape{1, 1, 1}, Shape{1, 64, 128}, Shape{2, 17, 31}, Shape{3, 65, 130},
            Shape{5, 200, 257}, Shape{7, 128, 96}, Shape{13, 48, 640}, Shape{50, 33, 100},
            Shape{1, 640, 1030}, Shape{14, 65, 2816}}) {
        CAPTURE(Name(isa));
        CAPTURE(Name(form));
        CAPTURE(rows);
        CAPTURE(outputs);
        CAPTURE(inputs);
        const PackedMatrix w = Matrix(form, outputs, inputs);
        std::vector<float> x = Numbers(rows * inputs, 2);
        if (form == WeightForm::kBf16) {
          for (float& number : x) number = FromBf16(ToBf16(number));
        }
        const std::vector<float> bias = rows % 2 == 0 ? Numbers(outputs, 3) : std::vector<float>{};
        const RowLayout layout{.rows = rows, .stride = inputs};
        const std::vector<double> exact = Exact(w, x, layout, bias);
        const std::vector<float> y = Product(w, x, layout, bias);
        double worst = 0;
        for (size_t i = 0; i < y.size(); ++i) {
          worst = std::max(worst, std::fabs(static_cast<double>(y[i]) - exact[i]));
        }
        CHECK(worst <= Tolerance(form, inputs));
      }
    }
  }
}

TEST_CASE("matmul: a row's bits depend neither on the other rows nor on their number") {
  const RowLayout all{.rows = 101, .stride = 300};
  const std::vector<float> x = Numbers(101 * 300, 4);
  for (const WeightForm form : kForms) {
    CAPTURE(Name(form));
    const PackedMatrix w = Matrix(form, 150, 300);
    const std::vector<float> together = Product(w, x, all);
    for (const int64_t count : {1, 2, 3, 5, 6, 7, 24, 48, 49}) {
      CAPTURE(count);
      const std::vector<float> few(x.begin() + 300, x.begin() + 300 + 300 * count);
      const std::vector<float> alone = Product(w, few, {.rows = count, .stride = 300});
      CHECK(std::equal(alone.begin(), alone.end(), together.begin() + 150));
    }
  }
}

TEST_CASE("matmul: the same bits on every instruction set, bfloat16's last ones aside") {
  const RowLayout layout{.rows = 9, .stride = 515};
  std::vector<float> x = Numbers(9 * 515, 5);
  x[3] = 1e4F;
  std::fill(x.begin() + 2 * 515, x.begin() + 3 * 515, 0.0F);  // no scale
  for (const WeightForm form : kForms) {
    CAPTURE(Name(form));
    const PackedMatrix w = Matrix(form, 130, 515);
    std::vector<std::vector<float>> results;
    for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
      const LowerIsa lower(isa);
      results.push_back(Product(w, x, layout));
    }
    CHECK(results[0] == results[1]);
    if (form != WeightForm::kBf16) CHECK(results[0] == results[2]);
  }
}

TEST_CASE("matmul: work beside it has each piece once, in order, on a band that is done") {
  for (const WeightForm form : {WeightForm::kF32, WeightForm::kInt8, WeightForm::kInt4}) {
    for (const int64_t bands : {1, 2, 5, 16}) {
      for (const int64_t rows : {1, 9, 50}) {
        CAPTURE(Name(form));
        CAPTURE(bands);
        CAPTURE(rows);
        constexpr int64_t kParts = 3;
        constexpr int64_t kWidth = 64;
        constexpr int64_t kInputs = 1300;
        constexpr int64_t kPieces = 7;
        const int64_t outputs = kParts * bands * kWidth;
        const PackedMatrix w = Matrix(form, outputs, kInputs);
        const std::vector<float> x = Numbers(rows * kInputs, 10);
        const std::vector<float> bias = Numbers(outputs, 11);
        const RowLayout layout{.rows = rows, .stride = kInputs};
        const std::vector<float> expected = Product(w, x, layout, bias);
        std::vector<float> y(expected.size(), NAN);
        std::vector<int64_t> done(static_cast<size_t>(bands));  // pieces of each band
        std::atomic<int> wrong = 0;
        const std::vector<std::byte> memory(30000);
        const BandWork work{
            .bands = bands,
            .parts = kParts,
            .width = kWidth,
            .pieces = kPieces,
            .reads =
                [&](int64_t band, int64_t piece) {
                  // Long, short and none.
                  const auto size = static_cast<size_t>((band + piece) % 3 * 15000);
                  return BandWork::Reads{std::span(memory).first(size), std::span(memory).first(9)};
                },
            .work =
                [&](int64_t band, int64_t piece) {
                  if (done[static_cast<size_t>(band)]++ != piece) ++wrong;
                  for (int64_t row = 0; row < rows; ++row) {
                    for (int64_t part = 0; part < kParts; ++part) {
                      const int64_t at = row * outputs + (part * bands + band) * kWidth;
                      if (!std::equal(y.begin() + at, y.begin() + at + kWidth,
                                      expected.begin() + at)) {
                        ++wrong;
                      }
                    }
                  }
                }};
        MatMul(w, x.data(), layout, y.data(), outputs, bias.data(), &work);
        CHECK(wrong == 0);
        CHECK(done == std::vector<int64_t>(static_cast<size_t>(bands), kPieces));
        CHECK(y == expected);
      }
    }
  }
  const PackedMatrix w = Matrix(WeightForm::kF32, 192, 8);
  const std::vector<float> x(8);
  std::vector<float> y(192);
  for (const auto& [parts, width] : {std::pair<int64_t, int64_t>{2, 64}, {3, 32}, {6, 32}}) {
    const BandWork work{.bands = 1, .parts = parts, .width = width, .reads = {}, .work = {}};
    CHECK_THROWS_AS(MatMul(w, x.data(), {.rows = 1, .stride = 8}, y.data(), 192, nullptr, &work),
                    base::Error);
  }
}

TEST_CASE("matmul: rows that overlap and come in runs") {
  // Two signals of 20 steps of 8 channels: windows of 3 steps, each 2 further on.
  const std::vector<float> x = Numbers(2 * 20 * 8, 6);
  const RowLayout windows{.rows = 2 * 9, .stride = 16, .run = 9, .run_stride = 160};
  const PackedMatrix w = Matrix(WeightForm::kF32, 12, 24);
  const std::vector<float> bias = Numbers(12, 7);
  const std::vector<double> exact = Exact(w, x, windows, bias);
  const std::vector<float> y = Product(w, x, windows, bias);
  for (size_t i = 0; i < y.size(); ++i) {
    CHECK(static_cast<double>(y[i]) == doctest::Approx(exact[i]).epsilon(1e-5));
  }
}

TEST_CASE("matmul: rows of the result may have gaps, and no rows are no work") {
  const PackedMatrix w = Matrix(WeightForm::kInt8, 3, 40);
  const std::vector<float> x = Numbers(2 * 40, 8);
  std::vector<float> y(2 * 5, -1);
  MatMul(w, x.data(), {.rows = 2, .stride = 40}, y.data(), 5);
  const std::vector<float> dense = Product(w, x, {.rows = 2, .stride = 40});
  CHECK(y == std::vector<float>{dense[0], dense[1], dense[2], -1, -1, dense[3], dense[4], dense[5],
                                -1, -1});
  MatMul(w, x.data(), {.rows = 0, .stride = 40}, y.data(), 5);
}

TEST_CASE("matmul: integer forms take both types of activations, the others their own") {
  const std::vector<float> x = Numbers(256, 9);
  const std::vector<Bf16> narrow = Rounded(x);
  std::vector<float> wide;
  for (const Bf16 number : narrow) wide.push_back(FromBf16(number));
  for (const WeightForm form : {WeightForm::kInt8, WeightForm::kInt4}) {
    const PackedMatrix w = Matrix(form, 70, 256);
    std::vector<Bf16> y(70);
    MatMul(w, narrow.data(), {.rows = 1, .stride = 256}, y.data(), 70);
    const std::vector<float> expected = Product(w, wide, {.rows = 1, .stride = 256});
    for (size_t i = 0; i < y.size(); ++i) CHECK(y[i] == ToBf16(expected[i]));
  }
  std::vector<float> y(70);
  CHECK_THROWS_AS(MatMul(Matrix(WeightForm::kBf16, 70, 256), x.data(), {.rows = 1, .stride = 256},
                         y.data(), 70),
                  base::Error);
}

}  // namespace ppx::kernels
