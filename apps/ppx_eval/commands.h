// apps/ppx_eval/commands.h: the subcommands of ppx-eval. Each adds its options to `app` and returns
// what runs when it was chosen.
#pragma once

#include <functional>

#include "base/error.h"

namespace CLI {
class App;
}

namespace ppx::app {

using Command = std::function<base::ExitCode()>;

Command AddScore(CLI::App& app);
Command AddRun(CLI::App& app);
Command AddCompare(CLI::App& app);
Command AddGate(CLI::App& app);
Command AddStats(CLI::App& app);
Command AddVad(CLI::App& app);
Command AddSelftest(CLI::App& app);

}  // namespace ppx::app
