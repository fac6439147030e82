// lib/metrics/scored.h: one value of one sample, or why there is none.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace ppx::metrics {

inline constexpr const char* kStatusOk = "ok";

struct Scored {
  std::optional<double> value;     // finite
  std::string status = kStatusOk;  // kStatusOk exactly where there is a value

  static Scored Of(double value) { return {value, kStatusOk}; }
  static Scored Not(std::string status) { return {std::nullopt, std::move(status)}; }
};

}  // namespace ppx::metrics
