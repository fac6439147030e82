#include "kernels/number_formats.h"

#include <cmath>
#include <limits>

#include "support/doctest.h"

namespace ppx::kernels {

TEST_CASE("number formats: bfloat16 and float16 come back as they were") {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto narrow = static_cast<uint16_t>(bits);
    const float wide = FromBf16(narrow);
    if (!std::isnan(wide)) CHECK(ToBf16(wide) == narrow);
    const float half = FromHalf(narrow);
    if (std::isnan(half)) {
      CHECK((narrow & 0x7c00) == 0x7c00);
    } else {
      CHECK(ToHalf(half) == narrow);
    }
  }
  CHECK(std::isnan(FromBf16(ToBf16(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(std::isnan(FromHalf(ToHalf(std::numeric_limits<float>::quiet_NaN()))));
}

TEST_CASE("number formats: known values, and ties go to even") {
  CHECK(ToBf16(1.0F) == 0x3f80);
  CHECK(ToBf16(1.0F + 0x1p-8F) == 0x3f80);            // half way, to the even one below
  CHECK(ToBf16(1.0F + 0x1p-7F + 0x1p-8F) == 0x3f82);  // half way, to the even one above
  CHECK(ToBf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(FromHalf(0x3c00) == 1.0F);
  CHECK(FromHalf(0x0001) == 0x1p-24F);
  CHECK(FromHalf(0xfbff) == -65504.0F);
  CHECK(std::isinf(FromHalf(0x7c00)));
  CHECK(ToHalf(65504.0F) == 0x7bff);
  CHECK(ToHalf(65519.0F) == 0x7bff);
  CHECK(ToHalf(65520.0F) == 0x7c00);
  CHECK(ToHalf(1.0F + 0x1p-11F) == 0x3c00);
  CHECK(ToHalf(1.0F + 3 * 0x1p-11F) == 0x3c02);
  CHECK(ToHalf(0x1p-25F) == 0x0000);
  CHECK(ToHalf(0x1.8p-25F) == 0x0001);
  CHECK(ToHalf(-0x1p-14F) == 0x8400);
}

}  // namespace ppx::kernels
