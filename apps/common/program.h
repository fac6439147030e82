// apps/common/program.h: the frame of every program: errors to exit codes, signals to a flag.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "base/error.h"

namespace CLI {
class App;
}

namespace ppx::app {

// Set by SIGINT and SIGTERM once CatchSignals was called; a second signal ends the process at once.
const std::atomic<bool>& Interrupted();
void CatchSignals();

// "name 0.1.0 (commit)", for --version and records.
std::string VersionText(const std::string& program);

// The table of exit codes, for the end of --help.
std::string ExitCodeHelp();

// Parses the command line and runs `body`. Errors become one line on standard error, "name: what",
// and an exit code of base::ExitCode.
int RunProgram(CLI::App& app, int argc, char** argv, const std::function<base::ExitCode()>& body);

}  // namespace ppx::app
