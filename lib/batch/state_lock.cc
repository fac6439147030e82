#include "batch/state_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockName = "lock";
constexpr std::chrono::milliseconds kPoll{200};
// Behind all positions: held while a file that shards share is written.
constexpr PositionRange kSharedFiles = {kPositions, kPositions + 1};

int OpenLock(const std::string& path) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    const int error = errno;
    const std::string what =
        fmt::format("{}: cannot open the lock file: {}", path, base::ErrnoText(error));
    if (error == EACCES || error == EPERM || error == EROFS || error == ENOENT ||
        error == ENOTDIR || error == EISDIR) {
      base::ThrowUsage(what + "; choose an output folder that you may write to");
    }
    base::ThrowResource(what + "; check the disk");
  }
  return fd;
}

// False: somebody else holds a part of it.
bool TryLock(int fd, const PositionRange& range, const std::string& path) {
  struct flock request = {};
  request.l_type = F_WRLCK;
  request.l_whence = SEEK_SET;
  request.l_start = static_cast<off_t>(range.begin);
  request.l_len = static_cast<off_t>(range.end - range.begin);
  while (::fcntl(fd, F_OFD_SETLK, &request) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EACCES) return false;
    base::ThrowResource(
        fmt::format("{}: this file system does not lock files ({}); write to another one, or, if "
                    "no other process works on this folder, give --lock none",
                    path, base::ErrnoText(errno)));
  }
  return true;
}

void LockOrWait(int fd, const PositionRange& range, const std::string& path,
                const std::atomic<bool>* interrupt, const std::function<void()>& on_wait) {
  if (TryLock(fd, range, path)) return;
  if (on_wait) on_wait();
  do {
    if (interrupt != nullptr && interrupt->load()) {
      throw base::Error(base::ErrorCode::kInterrupted, path + ": interrupted while waiting for it");
    }
    std::this_thread::sleep_for(kPoll);
  } while (!TryLock(fd, range, path));
}

bool HasBytes(const std::string& path, const std::string& bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  const std::string found{std::istreambuf_iterator<char>(file), {}};
  return !file.bad() && found == bytes;
}

}  // namespace

std::string StateFolder(const std::string& output_folder) {
  return (fs::path(output_folder) / ".ppx-batch").string();
}

std::string MakeStateFolder(const std::string& output_folder) {
  const std::string folder = StateFolder(output_folder);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    const std::string what = fmt::format("{}: cannot be made: {}", folder, error.message());
    if (error == std::errc::no_space_on_device || error == std::errc::io_error) {
      base::ThrowResource(what + "; free some space or check the disk");
    }
    base::ThrowUsage(what + "; choose an output folder that you may write to");
  }
  return folder;
}

StateLock::StateLock(const std::string& state_folder, const Shard& shard, WhenBusy when_busy,
                     const std::atomic<bool>* interrupt, const std::function<void()>& on_wait) {
  const std::string path = (fs::path(state_folder) / kLockName).string();
  const PositionRange range = RangeOf(shard);
  fd_ = OpenLock(path);
  try {
    if (when_busy == WhenBusy::kWait) {
      LockOrWait(fd_, range, path, interrupt, on_wait);
    } else if (!TryLock(fd_, range, path)) {
      base::ThrowResource(fmt::format(
          "{}: another process works on dialogues of shard {}; let it end, use --lock wait, or "
          "take a shard that it does not have",
          path, ToText(shard)));
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

StateLock::~StateLock() { ::close(fd_); }

void WriteStateFile(const std::string& state_folder, const std::string& name,
                    const std::string& bytes, bool lock) {
  const std::string path = (fs::path(state_folder) / name).string();
  if (!lock) {
    if (!HasBytes(path, bytes)) base::WriteFileAtomically(path, bytes);
    return;
  }
  const std::string lock_path = (fs::path(state_folder) / kLockName).string();
  const int fd = OpenLock(lock_path);
  try {
    LockOrWait(fd, kSharedFiles, lock_path, nullptr, {});
    base::RemoveTemporaries(path);
    if (!HasBytes(path, bytes)) base::WriteFileAtomically(path, bytes);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
}

}  // namespace ppx::batch
