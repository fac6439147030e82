// lib/base/subprocess.h: one program run to its end, or to the end of the caller's patience.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

namespace ppx::base {

struct SubprocessLimits {
  double timeout_s = 0;
  size_t max_output_bytes = 0;  // of standard output; 0: it goes to /dev/null
  const std::atomic<bool>* cancel = nullptr;
};

enum class SubprocessEnd { kExited, kSignalled, kTimeout, kTooMuchOutput, kCancelled };

struct SubprocessResult {
  SubprocessEnd end = SubprocessEnd::kExited;
  int code = 0;  // the exit code, or the signal's number
  std::string output;
  std::string error_tail;  // the last part of standard error
};

// Runs `argv`, without a shell; argv[0] is looked for in PATH unless it has a slash. Standard input
// is /dev/null. The program leads a process group of its own. Where it is stopped early, the group
// gets SIGTERM, and SIGKILL two seconds later; whatever of the group outlives the program is
// killed. Thread-safe.
//
// Throws base::Error (kResource) where it cannot be started.
SubprocessResult RunSubprocess(const std::vector<std::string>& argv,
                               const SubprocessLimits& limits);

}  // namespace ppx::base
