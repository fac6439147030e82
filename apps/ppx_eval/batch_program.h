// apps/ppx_eval/batch_program.h: ppx-batch, run as a child that shares this program's terminal.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace ppx::app {

// $PPX_BATCH, else ppx-batch beside the running program. Throws base::Error (kResource) where it is
// not there.
std::string FindBatchProgram();

// Runs it to its end. It has this program's standard input and error, and what it prints goes to
// standard error: standard output is left to the results. SIGINT and SIGTERM that reach this
// process alone are passed on; those of the terminal reach the child by themselves. Either way this
// process lives as long as the child, which ends cleanly.
//
// Returns kOk, or kItemsFailed where some dialogues failed. Throws base::Error otherwise, with the
// code that makes this program exit as the child did; kInterrupted where either of them was told to
// stop, kResource where the child was killed or cannot be started.
//
// Not seen: a sender that signals every process by itself (not the terminal) signals the child
// twice, which ends it at once; what it has finished is kept. Call it from the only thread that
// handles signals.
base::ExitCode RunBatchProgram(const std::string& program,
                               const std::vector<std::string>& arguments);

}  // namespace ppx::app
