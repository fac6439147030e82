#include "base/decimal.h"

#include <array>
#include <charconv>
#include <cmath>

namespace ppx::base {

double RoundDecimal(double value, int digits) {
  if (!std::isfinite(value)) return value;
  // A double has at most 309 digits before its point.
  std::array<char, 350> text{};
  const auto printed = std::to_chars(text.data(), text.data() + text.size(), value,
                                     std::chars_format::fixed, digits);
  double rounded = value;
  std::from_chars(text.data(), printed.ptr, rounded);
  return rounded;
}

}  // namespace ppx::base
