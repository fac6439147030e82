#include "kernels/packed_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/host_buffer.h"
#include "kernels/number_formats.h"
#include "support/doctest.h"

namespace ppx::kernels {
namespace {

std::vector<float> Numbers(int64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = normal(random);
  return numbers;
}

}  // namespace

TEST_CASE("packed matrix: what comes back is what was given, as near as the form allows") {
  const int64_t outputs = 83;
  const int64_t inputs = 161;
  std::vector<float> numbers = Numbers(outputs * inputs);
  std::fill(numbers.begin(), numbers.begin() + inputs, 0.0F);  // an output without a scale
  for (const WeightForm form :
       {WeightForm::kF32, WeightForm::kBf16, WeightForm::kInt8, WeightForm::kInt4}) {
    CAPTURE(Name(form));
    const PackedMatrix w(form, {.data = numbers.data(), .outputs = outputs, .inputs = inputs});
    std::vector<float> row(static_cast<size_t>(inputs));
    for (int64_t o = 0; o < outputs; ++o) {
      w.Unpack(o, row.data());
      const float* expected = numbers.data() + o * inputs;
      float highest = 0;
      for (int64_t i = 0; i < inputs; ++i) highest = std::max(highest, std::fabs(expected[i]));
      for (int64_t i = 0; i < inputs; ++i) {
        const float value = row[static_cast<size_t>(i)];
        switch (form) {
          case WeightForm::kF32:
            REQUIRE(value == expected[i]);
            break;
          case WeightForm::kBf16:
            REQUIRE(value == FromBf16(ToBf16(expected[i])));
            break;
          case WeightForm::kInt8:
            REQUIRE(std::fabs(value - expected[i]) <= highest / 127 * 0.5001F);
            break;
          case WeightForm::kInt4: {
            // Of the group; the far end of the other sign loses up to a whole step.
            const int64_t group = i / kInt4Group * kInt4Group;
            float most = 0;
            for (int64_t j = group; j < std::min(inputs, group + kInt4Group); ++j) {
              most = std::max(most, std::fabs(expected[j]));
            }
            REQUIRE(std::fabs(value - expected[i]) <= most / 8 * 1.001F);
            break;
          }
        }
      }
    }
  }
}

TEST_CASE("packed matrix: from bfloat16 as from the same numbers in float32") {
  std::vector<float> numbers = Numbers(70 * 40);
  std::vector<uint16_t> narrow;
  for (float& number : numbers) {
    narrow.push_back(ToBf16(number));
    number = FromBf16(narrow.back());
  }
  for (const WeightForm form : {WeightForm::kBf16, WeightForm::kInt8, WeightForm::kInt4}) {
    CAPTURE(Name(form));
    const PackedMatrix wide(form, {.data = numbers.data(), .outputs = 70, .inputs = 40});
    const PackedMatrix same(
        form,
        {.data = narrow.data(), .type = MatrixSource::Type::kBf16, .outputs = 70, .inputs = 40});
    REQUIRE(wide.size_bytes() == same.size_bytes());
    CHECK(std::memcmp(wide.bytes(), same.bytes(), wide.size_bytes()) == 0);
  }
}

TEST_CASE("packed matrix: sizes of large matrices are those of their forms") {
  CHECK(PackedMatrix::Bytes(WeightForm::kF32, 4096, 4096) == 4096 * 4096 * 4);
  CHECK(PackedMatrix::Bytes(WeightForm::kBf16, 4096, 4096) == 4096 * 4096 * 2);
  CHECK(PackedMatrix::Bytes(WeightForm::kInt8, 4096, 4096) == 4096 * 4096 + 4096 * 4);
  CHECK(PackedMatrix::Bytes(WeightForm::kInt4, 4096, 4096) == 4096 * 4096 / 32 * 18);
}

TEST_CASE("host buffer: zeros, aligned, movable, of any size") {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{5} << 20}) {
    HostBuffer buffer(bytes);
    CHECK(buffer.size() == bytes);
    CHECK(reinterpret_cast<uintptr_t>(buffer.data()) % 64 == 0);
    CHECK(std::all_of(buffer.data(), buffer.data() + bytes,
                      [](std::byte byte) { return byte == std::byte{0}; }));
    const std::byte* data = buffer.data();
    const HostBuffer moved = std::move(buffer);
    CHECK(moved.data() == data);
  }
}

}  // namespace ppx::kernels
