#include "ppx_eval/batch_program.h"

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

constexpr std::array kStopSignals{SIGINT, SIGTERM};
constexpr const char* kGoOn = "the same command goes on where it stopped";

std::atomic<pid_t> child{0};
std::atomic<bool> told_to_stop{false};

// The terminal signals its whole group, the child among it, and a second signal would end the
// child at once. Signals of the kernel have positive codes, those of processes do not.
void OnSignal(int number, siginfo_t* info, void* /*context*/) {
  const int saved_errno = errno;
  told_to_stop = true;
  if (info->si_code <= 0) ::kill(child, number);
  errno = saved_errno;
}

sigset_t StopSignals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kStopSignals) ::sigaddset(&set, number);
  return set;
}

// Holds SIGINT and SIGTERM back from this thread.
class Blocked {
 public:
  Blocked() {
    const sigset_t set = StopSignals();
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  ~Blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;

  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_ = {};
};

// A started child; its number is its own until it is reaped.
class Child {
 public:
  Child(const std::string& program, const std::vector<std::string>& arguments) {
    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const Blocked blocked;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setsigmask(&attributes, &blocked.before());
    const int error =
        ::posix_spawn(&pid_, program.c_str(), &actions, &attributes, pointers.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      base::ThrowResource(
          fmt::format("{}: cannot be started: {}", program, base::ErrnoText(error)));
    }
    told_to_stop = false;
    child = pid_;
    struct sigaction action = {};
    action.sa_sigaction = OnSignal;
    action.sa_flags = SA_SIGINFO;
    for (size_t i = 0; i < kStopSignals.size(); ++i) {
      ::sigaction(kStopSignals[i], &action, &before_[i]);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { StopForwarding(); }

  // Its wait status. Throws base::Error (kResource) where the kernel does not keep it.
  int Wait() {
    siginfo_t info = {};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0) {
      if (errno != EINTR) {
        base::ThrowResource("the exit code of ppx-batch is lost; SIGCHLD must not be ignored");
      }
    }
    StopForwarding();
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return status;
  }

 private:
  void StopForwarding() {
    if (child == 0) return;
    const Blocked blocked;
    for (size_t i = 0; i < kStopSignals.size(); ++i) {
      ::sigaction(kStopSignals[i], &before_[i], nullptr);
    }
    child = 0;
  }

  pid_t pid_ = -1;
  std::array<struct sigaction, kStopSignals.size()> before_ = {};
};

[[noreturn]] void ThrowInterrupted() {
  throw base::Error(base::ErrorCode::kInterrupted, fmt::format("interrupted; {}", kGoOn));
}

}  // namespace

std::string FindBatchProgram() {
  std::error_code ignored;
  if (const char* named = std::getenv("PPX_BATCH"); named != nullptr && *named != '\0') {
    if (fs::is_regular_file(named, ignored)) return fs::absolute(named).string();
    base::ThrowResource(fmt::format("PPX_BATCH {}: no such program", named));
  }
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  const fs::path program = folder / "ppx-batch";
  if (fs::is_regular_file(program, ignored)) return program.string();
  base::ThrowResource(
      fmt::format("there is no ppx-batch in {}; build it (scripts/build), or name it in PPX_BATCH",
                  folder.string()));
}

base::ExitCode RunBatchProgram(const std::string& program,
                               const std::vector<std::string>& arguments) {
  const int status = Child(program, arguments).Wait();
  const bool killed = WIFSIGNALED(status);
  const int number = killed ? WTERMSIG(status) : WEXITSTATUS(status);
  if (told_to_stop || (killed && (number == SIGINT || number == SIGTERM))) ThrowInterrupted();
  if (killed) {
    base::ThrowResource(fmt::format("ppx-batch was ended by signal {} ({}); {}", number,
                                    ::strsignal(number), kGoOn));
  }
  const std::string ended =
      fmt::format("ppx-batch ended with exit code {}; nothing was scored", number);
  switch (static_cast<base::ExitCode>(number)) {
    case base::ExitCode::kOk:
    case base::ExitCode::kItemsFailed:
      return static_cast<base::ExitCode>(number);
    case base::ExitCode::kUsage:
      base::ThrowUsage(ended);
    case base::ExitCode::kBadInput:
      base::ThrowBadInput(ended);
    case base::ExitCode::kResource:
      base::ThrowResource(ended);
    case base::ExitCode::kInterrupted:
      ThrowInterrupted();
    case base::ExitCode::kInternal:
      break;
  }
  base::ThrowInternal(ended);
}

}  // namespace ppx::app
