#include "base/subprocess.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

#include "base/error.h"

namespace ppx::base {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kTailBytes = 4096;
constexpr std::chrono::seconds kGrace{2};
// How soon a cancellation is seen.
constexpr int kTickMs = 50;
// How soon the end of a program is seen that has closed its output.
constexpr int kShortTickMs = 2;
// A time-out beyond this is none; keeps the arithmetic of time points in range.
constexpr double kLongestTimeoutS = 1e8;

class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { Reset(-1); }

  void Reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  bool open() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Other programs started meanwhile inherit neither end.
void OpenPipe(Descriptor& reader, Descriptor& writer) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    base::ThrowResource(fmt::format("cannot open a pipe: {}", base::ErrnoText(errno)));
  }
  reader.Reset(ends[0]);
  writer.Reset(ends[1]);
  const int flags = ::fcntl(ends[0], F_GETFL);
  ::fcntl(ends[0], F_SETFL, flags | O_NONBLOCK);
}

class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;

  void Null(int target, int flags) {
    ::posix_spawn_file_actions_addopen(&actions_, target, "/dev/null", flags, 0);
  }
  void Copy(int source, int target) {
    ::posix_spawn_file_actions_adddup2(&actions_, source, target);
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// A group of its own, no signal blocked, and those that this process ignores or handles back at
// their defaults.
class Attributes {
 public:
  Attributes() {
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    sigset_t defaults;
    ::sigemptyset(&defaults);
    for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
      ::sigaddset(&defaults, number);
    }
    ::posix_spawnattr_setsigdefault(&attributes_, &defaults);
  }
  ~Attributes() { ::posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;

  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

// A started program. Nothing of its group outlives this object.
class Child {
 public:
  Child(const std::vector<std::string>& argv, const FileActions& actions) {
    std::vector<std::string> words = argv;
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const Attributes attributes;
    const int error = ::posix_spawnp(&pid_, pointers[0], actions.get(), attributes.get(),
                                     pointers.data(), environ);
    if (error != 0) {
      base::ThrowResource(
          fmt::format("{}: cannot be started: {}", argv.front(), base::ErrnoText(error)));
    }
  }
  ~Child() {
    if (!reaped_) Reap();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Signal(int number) const { ::kill(-pid_, number); }

  // Does not reap: until then nobody else can get the group's number.
  bool HasEnded() const {
    siginfo_t info = {};
    const int failed = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    return failed != 0 || info.si_pid == pid_;
  }

  // Kills what is left of the group; the program's wait status. No value where the kernel does not
  // keep it.
  std::optional<int> Reap() {
    reaped_ = true;
    Signal(SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0) {
      if (errno != EINTR) return std::nullopt;
    }
    return status;
  }

 private:
  pid_t pid_ = -1;
  bool reaped_ = false;
};

// Appends what there is to read without waiting, up to `limit` bytes in all (then the rest stays),
// and closes the descriptor at its end.
void Drain(Descriptor& from, std::string& into, size_t limit) {
  std::array<char, 1 << 16> buffer;
  while (from.open() && into.size() <= limit) {
    const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
    if (count > 0) {
      into.append(buffer.data(), static_cast<size_t>(count));
    } else if (count == 0) {
      from.Reset(-1);
    } else if (errno != EINTR) {
      if (errno != EAGAIN) from.Reset(-1);
      return;
    }
  }
}

void DrainTail(Descriptor& from, std::string& tail) {
  std::string text;
  // A program that writes without end is read in parts.
  Drain(from, text, size_t{1} << 20);
  tail += text;
  if (tail.size() > kTailBytes) tail.erase(0, tail.size() - kTailBytes);
}

}  // namespace

SubprocessResult RunSubprocess(const std::vector<std::string>& argv,
                               const SubprocessLimits& limits) {
  if (argv.empty()) base::ThrowInternal("no program to run");
  const bool wants_output = limits.max_output_bytes > 0;
  Descriptor out, out_end, err, err_end;
  OpenPipe(err, err_end);
  if (wants_output) OpenPipe(out, out_end);
  FileActions actions;
  actions.Null(STDIN_FILENO, O_RDONLY);
  if (wants_output) {
    actions.Copy(out_end.get(), STDOUT_FILENO);
  } else {
    actions.Null(STDOUT_FILENO, O_WRONLY);
  }
  actions.Copy(err_end.get(), STDERR_FILENO);
  Child child(argv, actions);
  out_end.Reset(-1);
  err_end.Reset(-1);

  SubprocessResult result;
  std::optional<SubprocessEnd> stopped;
  Clock::time_point deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                         std::min(limits.timeout_s, kLongestTimeoutS)));
  while (true) {
    // What was written before the end is there to be read after it.
    const bool ended = child.HasEnded();
    if (out.open()) Drain(out, result.output, limits.max_output_bytes);
    if (err.open()) DrainTail(err, result.error_tail);
    if (!stopped) {
      if (wants_output && result.output.size() > limits.max_output_bytes) {
        stopped = SubprocessEnd::kTooMuchOutput;
      } else if (ended) {
        break;
      } else if (limits.cancel != nullptr && limits.cancel->load()) {
        stopped = SubprocessEnd::kCancelled;
      } else if (Clock::now() >= deadline) {
        stopped = SubprocessEnd::kTimeout;
      }
      if (stopped) {
        child.Signal(SIGTERM);
        out.Reset(-1);
        deadline = Clock::now() + kGrace;
      }
    }
    if (ended || (stopped && Clock::now() >= deadline)) break;
    std::array<pollfd, 2> polled{{{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
    const bool listening = out.open() || err.open();
    // poll() takes no notice of closed ones, whose number is negative.
    ::poll(polled.data(), polled.size(), listening ? kTickMs : kShortTickMs);
  }
  const std::optional<int> status = child.Reap();
  if (stopped) {
    result.end = *stopped;
  } else if (!status) {
    base::ThrowResource(argv.front() + ": its exit code is lost; SIGCHLD must not be ignored");
  } else if (WIFSIGNALED(*status)) {
    result.end = SubprocessEnd::kSignalled;
    result.code = WTERMSIG(*status);
  } else {
    result.code = WEXITSTATUS(*status);
  }
  return result;
}

}  // namespace ppx::base
