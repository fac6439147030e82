// lib/base/error.h: the one exception type of the toolkit, and the exit codes it maps to.
//
// Every library throws `Error` for what it cannot go on with; `main` catches it once. Expected
// failures of one item among many (a bad sample of a suite) are values, not exceptions.
// The text says what is wrong, where, and how to mend it: "in.wav: no samples; is it a recording?".
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace ppx::base {

// Process exit codes, documented in README.md and printed by --help.
enum class ExitCode : int {
  kOk = 0,
  kItemsFailed = 1,   // ran, but some items failed, or a gate was not met
  kUsage = 2,         // the command line or a run configuration is wrong
  kBadInput = 3,      // an input file or a checkpoint is missing, damaged or does not fit
  kResource = 4,      // disk, memory, device or network
  kInternal = 70,     // a bug in this program
  kInterrupted = 130  // SIGINT or SIGTERM
};

// kOutOfMemory is the resource that a smaller batch needs less of; programs exit as for kResource.
enum class ErrorCode { kUsage, kBadInput, kResource, kOutOfMemory, kInternal, kInterrupted };

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}

  ErrorCode code() const { return code_; }
  ExitCode exit_code() const;

 private:
  ErrorCode code_;
};

// Shorthands: the code is the caller's diagnosis, the message is shown to the user as it is.
[[noreturn]] void ThrowUsage(const std::string& message);
[[noreturn]] void ThrowBadInput(const std::string& message);
[[noreturn]] void ThrowResource(const std::string& message);
[[noreturn]] void ThrowInternal(const std::string& message);

// "No such file or directory" and the like, for errno values.
std::string ErrnoText(int error_number);

}  // namespace ppx::base
