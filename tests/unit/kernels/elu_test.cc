#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/isa.h"
#include "kernels/loops.h"
#include "support/doctest.h"

namespace ppx::kernels {
namespace {

TEST_CASE("ELU is exact to 2 units in the last place, wherever a number lies") {
  std::vector<float> x{0.0F, -0.0F, 1.0F, 1e30F, -1e-30F, -1e30F, -INFINITY, INFINITY, NAN};
  for (float value = -40; value < 2; value += 0.00037F) x.push_back(value);
  std::vector<float> y(x.size());
  const auto count = static_cast<int64_t>(x.size());
  const Activation elu = CurrentElu();
  elu(x.data(), y.data(), count);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    float alone = 0;
    elu(&x[i], &alone, 1);
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
  const Isa before = CurrentIsa();
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512}) {
    UseIsa(isa);
    std::vector<float> there(x.size());
    CurrentElu()(x.data(), there.data(), count);
    // The NaN aside.
    CHECK(std::equal(there.begin(), there.begin() + 8, y.begin()));
    CHECK(std::equal(there.begin() + 9, there.end(), y.begin() + 9));
  }
  UseIsa(before);
  elu(x.data() + 9, x.data() + 9, count - 9);  // in place
  CHECK(std::equal(x.begin() + 9, x.end(), y.begin() + 9));
}

}  // namespace
}  // namespace ppx::kernels
