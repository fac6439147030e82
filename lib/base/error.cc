#include "base/error.h"

#include <system_error>

namespace ppx::base {

ExitCode Error::exit_code() const {
  switch (code_) {
    case ErrorCode::kUsage:
      return ExitCode::kUsage;
    case ErrorCode::kBadInput:
      return ExitCode::kBadInput;
    case ErrorCode::kResource:
    case ErrorCode::kOutOfMemory:
      return ExitCode::kResource;
    case ErrorCode::kInterrupted:
      return ExitCode::kInterrupted;
    case ErrorCode::kInternal:
      break;
  }
  return ExitCode::kInternal;
}

void ThrowUsage(const std::string& message) { throw Error(ErrorCode::kUsage, message); }
void ThrowBadInput(const std::string& message) { throw Error(ErrorCode::kBadInput, message); }
void ThrowResource(const std::string& message) { throw Error(ErrorCode::kResource, message); }
void ThrowInternal(const std::string& message) {
  throw Error(ErrorCode::kInternal, "internal error (please report it): " + message);
}

std::string ErrnoText(int error_number) { return std::generic_category().message(error_number); }

}  // namespace ppx::base
