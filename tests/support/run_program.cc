#include "support/run_program.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>

namespace ppx::test {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void ThrowErrno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { Close(); }

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void Reset(int fd) {
    Close();
    fd_ = fd;
  }
  void Close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// Both ends are closed in the programs that are started, but for the copies made by dup2().
void OpenPipe(Descriptor& reader, Descriptor& writer) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) ThrowErrno("pipe2");
  reader.Reset(ends[0]);
  writer.Reset(ends[1]);
}

void OpenTerminal(Descriptor& reader, Descriptor& writer) {
  int master = -1;
  int slave = -1;
  if (::openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) ThrowErrno("openpty");
  reader.Reset(master);
  writer.Reset(slave);
  for (const int fd : {master, slave}) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) ThrowErrno("fcntl");
  }
}

std::vector<std::string> Environment(const RunOptions& options) {
  std::map<std::string, std::optional<std::string>> changes = options.environment;
  if (options.terminal) changes.emplace("TERM", "xterm");
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable(*entry);
    if (!changes.contains(variable.substr(0, variable.find('=')))) variables.push_back(variable);
  }
  for (const auto& [name, value] : changes) {
    if (value) variables.push_back(name + "=" + *value);
  }
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Appends what there is to read; closes the descriptor at its end.
void Drain(Descriptor& from, std::string& into) {
  std::array<char, 1 << 16> buffer;
  const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
  if (count > 0) {
    into.append(buffer.data(), static_cast<size_t>(count));
  } else if (count == 0 || errno != EINTR) {  // a terminal that nobody holds any more gives EIO
    from.Close();
  }
}

}  // namespace

RunResult RunProgram(const std::vector<std::string>& command, const RunOptions& options) {
  if (command.empty()) throw std::runtime_error("no program given");
  std::vector<std::string> arguments = command;
  std::vector<std::string> variables = Environment(options);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(variables);
  Descriptor out, out_end, err, err_end;
  OpenPipe(out, out_end);
  if (options.terminal) {
    OpenTerminal(err, err_end);
  } else {
    OpenPipe(err, err_end);
  }
  const Descriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));

  const pid_t child = ::fork();
  if (child < 0) ThrowErrno("fork");
  if (child == 0) {
    ::dup2(nothing.get(), STDIN_FILENO);
    ::dup2(out_end.get(), STDOUT_FILENO);
    ::dup2(err_end.get(), STDERR_FILENO);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  out_end.Close();
  err_end.Close();

  RunResult result;
  bool signalled = options.signal_at.empty();
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(options.timeout_s));
  while (out.open() || err.open()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      ::kill(child, SIGKILL);
      result.timed_out = true;
      break;
    }
    std::array<pollfd, 2> polled{{{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
    if (::poll(polled.data(), polled.size(), static_cast<int>(left.count())) < 0 &&
        errno != EINTR) {
      ThrowErrno("poll");
    }
    if (polled[0].revents != 0) Drain(out, result.out);
    if (polled[1].revents != 0) Drain(err, result.err);
    if (!signalled && result.err.find(options.signal_at) != std::string::npos) {
      ::kill(child, options.signal);
      signalled = true;
    }
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) ThrowErrno("waitpid");
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace ppx::test
