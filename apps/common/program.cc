#include "common/program.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "common/version.h"

namespace ppx::app {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler writes it");

void OnSignal(int signal) {
  interrupted = true;
  std::signal(signal, SIG_DFL);
}

int Fail(const std::string& program, const std::string& message, base::ExitCode code) {
  fmt::print(stderr, "{}: {}\n", program, message);
  return static_cast<int>(code);
}

// For messages about the run configuration: CLI11 hands its reader a stream without a name.
std::string ConfigName(CLI::App& app) {
  CLI::Option* option = app.get_config_ptr();
  return option != nullptr && option->count() > 0 ? "--config " + option->as<std::string>()
                                                  : "run configuration";
}

}  // namespace

const std::atomic<bool>& Interrupted() { return interrupted; }

void CatchSignals() {
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
}

std::string VersionText(const std::string& program) {
  return *kCommit == '\0' ? fmt::format("{} {}", program, kVersion)
                          : fmt::format("{} {} ({})", program, kVersion, kCommit);
}

std::string ExitCodeHelp() {
  return "Exit codes:\n"
         "  0    done\n"
         "  1    ran, but some items failed\n"
         "  2    the command line or a run configuration is wrong\n"
         "  3    an input file or a checkpoint is missing, damaged or does not fit\n"
         "  4    disk, memory, device or network\n"
         "  70   a bug in this program\n"
         "  130  interrupted\n";
}

int RunProgram(CLI::App& app, int argc, char** argv, const std::function<base::ExitCode()>& body) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ConfigError& error) {
    std::string what = error.what();
    constexpr std::string_view kUnknown = "INI was not able to parse ";
    if (what.rfind(kUnknown, 0) == 0)
      what = "there is no option '" + what.substr(kUnknown.size()) + "'";
    return Fail(app.get_name(),
                fmt::format("{}: {}; see {} --help", ConfigName(app), what, app.get_name()),
                base::ExitCode::kUsage);
  } catch (const CLI::ParseError& error) {
    return Fail(app.get_name(), fmt::format("{}; see {} --help", error.what(), app.get_name()),
                base::ExitCode::kUsage);
  } catch (const base::Error& error) {
    return Fail(app.get_name(), fmt::format("{}: {}", ConfigName(app), error.what()),
                error.exit_code());
  }
  try {
    return static_cast<int>(body());
  } catch (const base::Error& error) {
    return Fail(app.get_name(), error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return Fail(app.get_name(), "out of memory", base::ExitCode::kResource);
  } catch (const std::exception& error) {
    return Fail(app.get_name(), fmt::format("internal error (please report it): {}", error.what()),
                base::ExitCode::kInternal);
  }
}

}  // namespace ppx::app
