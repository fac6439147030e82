// tests/support/run_program.h: runs a program as a user would, and says what came of it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ppx::test {

struct RunOptions {
  // Variables that differ from the test's own environment; nullopt removes one.
  std::map<std::string, std::optional<std::string>> environment;
  // After this long the program is killed.
  double timeout_s = 120;
  // Standard error is a pseudo-terminal (TERM=xterm) instead of a pipe.
  bool terminal = false;
  // Once standard error has this text, `signal` is sent. Empty: no signal.
  std::string signal_at;
  int signal = 0;
};

struct RunResult {
  int exit_code = -1;  // 128 + N where signal N ended it
  bool timed_out = false;
  std::string out;
  std::string err;
};

// `command[0]` is the program, looked for in PATH unless it has a slash. Standard input is
// /dev/null. Throws std::runtime_error where no process can be started; a program that is not there
// exits with 127.
RunResult RunProgram(const std::vector<std::string>& command, const RunOptions& options = {});

}  // namespace ppx::test
