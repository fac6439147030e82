// tests/support/expect_error.h: what a call throws, as a value to check.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"

namespace ppx::testing {

struct Thrown {
  std::optional<base::ErrorCode> code;  // none: nothing was thrown
  std::string message;

  bool Mentions(const std::string& text) const { return message.find(text) != std::string::npos; }
};

// Other exceptions than base::Error pass through and fail the test.
template <typename Call>
Thrown ErrorOf(Call&& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

}  // namespace ppx::testing
