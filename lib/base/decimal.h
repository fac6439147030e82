// lib/base/decimal.h: decimals as they are written down.
#pragma once

namespace ppx::base {

// `value` rounded to `digits` (0 to 15) decimals: the double nearest to the correctly rounded
// decimal expansion, ties of the exact binary value to even. This is what Python's round() gives;
// floor(10 * x + 0.5) / 10 differs from it where 10 * x is not exact. Does not depend on the
// locale. Not finite values come back as they are.
double RoundDecimal(double value, int digits);

}  // namespace ppx::base
