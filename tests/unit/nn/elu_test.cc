#include "nn/elu.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/doctest.h"

namespace ppx::nn {
namespace {

TEST_CASE("ELU is exact to 2 units in the last place, wherever a number lies") {
  std::vector<float> x{0.0F, -0.0F, 1.0F, 1e30F, -1e-30F, -1e30F, -INFINITY, INFINITY, NAN};
  for (float value = -40; value < 2; value += 0.00037F) x.push_back(value);
  std::vector<float> y(x.size());
  const auto count = static_cast<int64_t>(x.size());
  Elu(x.data(), y.data(), count);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    float alone = 0;
    Elu(&x[i], &alone, 1);
    if (std::isnan(x[i])) {
      CHECK(std::isnan(y[i]));
      CHECK(std::isnan(alone));
      continue;
    }
    if (alone != y[i]) CHECK(alone == y[i]);
    if (x[i] > 0) {
      if (y[i] != x[i]) CHECK(y[i] == x[i]);
      continue;
    }
    const double exact = std::expm1(static_cast<double>(x[i]));
    const auto nearest = static_cast<float>(exact);
    const float unit = std::abs(nearest - std::nextafter(nearest, -2.0F));
    worst = std::max(worst, std::abs(y[i] - exact) / unit);
  }
  CHECK(worst < 2);
  Elu(x.data() + 9, x.data() + 9, count - 9);  // in place
  CHECK(std::equal(x.begin() + 9, x.end(), y.begin() + 9));
}

}  // namespace
}  // namespace ppx::nn
