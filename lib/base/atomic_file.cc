#include "base/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <random>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace ppx::base {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxLinks = 40;  // as many as Linux follows

// The names of temporary files: `.NAME.XXXXXX.tmp`.
constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr size_t kRandomLetters = 6;
constexpr std::string_view kTemporaryEnd = ".tmp";
constexpr size_t kMaxNameBytes = 200;  // leaves room in the 255 bytes that a name may have

[[noreturn]] void ThrowFor(const std::string& path, const char* action, int error_number) {
  const char* mend = nullptr;
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      mend = "make its folder first, or choose another path";
      break;
    case EISDIR:
      mend = "it is a folder; name a file in it";
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      mend = "choose a folder that you may write to";
      break;
    case ELOOP:
    case ENAMETOOLONG:
      mend = "choose another path";
      break;
    case EBADF:
      mend = "no such descriptor is open for writing";
      break;
    default:
      break;
  }
  if (mend != nullptr) {
    ThrowUsage(fmt::format("{}: cannot {}: {}; {}", path, action, ErrnoText(error_number), mend));
  }
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      mend = "free some space or write to another disk";
      break;
    case EFBIG:
      mend = "the file system or `ulimit -f` forbids a file of this size";
      break;
    case EMFILE:
    case ENFILE:
      mend = "too many files are open; raise `ulimit -n`";
      break;
    default:
      mend = "check the disk";
      break;
  }
  ThrowResource(fmt::format("{}: cannot {}: {}; {}", path, action, ErrnoText(error_number), mend));
}

// The N that /dev/stdout, /dev/fd/N and the like stand for. They are links to where the descriptor
// leads, but opening that place again would lose its offset and append mode (and fail on a socket).
std::optional<int> DescriptorNamedBy(std::string_view path) {
  if (path == "/dev/stdout") {
    return STDOUT_FILENO;
  }
  if (path == "/dev/stderr") {
    return STDERR_FILENO;
  }
  for (const std::string_view prefix : {"/dev/fd/", "/proc/self/fd/"}) {
    if (path.starts_with(prefix)) {
      const std::string_view digits = path.substr(prefix.size());
      int number = -1;
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (error == std::errc() && end == digits.data() + digits.size() && number >= 0) {
        return number;
      }
    }
  }
  return std::nullopt;
}

// Where an output goes.
struct Place {
  enum class Kind { kRegular, kSpecial, kDescriptor };
  Kind kind = Kind::kRegular;
  std::string target;   // links followed; not for kDescriptor
  int descriptor = -1;  // kDescriptor only
};

Place FindPlace(const std::string& path) {
  if (path.empty()) {
    ThrowUsage("an output path is empty; name a file");
  }
  std::string target = path;
  for (int links = 0;; ++links) {
    if (links > kMaxLinks) {
      ThrowFor(path, "write", ELOOP);
    }
    if (const auto descriptor = DescriptorNamedBy(target)) {
      return {Place::Kind::kDescriptor, std::move(target), *descriptor};
    }
    struct stat status = {};
    if (::lstat(target.c_str(), &status) != 0) {
      if (errno == ENOENT && !target.ends_with('/')) {
        return {Place::Kind::kRegular, std::move(target), -1};
      }
      ThrowFor(path, "write", errno == ENOENT ? EISDIR : errno);
    }
    if (S_ISLNK(status.st_mode)) {
      std::error_code error;
      const fs::path link = fs::read_symlink(target, error);
      if (error) {
        ThrowFor(path, "write", error.value());
      }
      target = (fs::path(target).parent_path() / link).string();
      continue;
    }
    if (S_ISDIR(status.st_mode)) {
      ThrowFor(path, "write", EISDIR);
    }
    return {S_ISREG(status.st_mode) ? Place::Kind::kRegular : Place::Kind::kSpecial,
            std::move(target), -1};
  }
}

// A new file beside `target`, of mode 0666 less the umask: mkostemp() would give 0600, and the
// umask cannot be asked for without setting it for every thread.
std::pair<int, std::string> OpenTemporaryBeside(const std::string& path,
                                                const std::string& target) {
  constexpr int kAttempts = 100;
  const fs::path whole(target);
  const std::string file_name = whole.filename().string();
  const std::string_view name = TemporaryStem(file_name);
  std::random_device device;
  std::uniform_int_distribution<size_t> pick(0, kAlphabet.size() - 1);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string random;
    for (size_t i = 0; i < kRandomLetters; ++i) {
      random += kAlphabet[pick(device)];
    }
    std::string temporary =
        (whole.parent_path() / fmt::format(".{}.{}{}", name, random, kTemporaryEnd)).string();
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
      return {fd, std::move(temporary)};
    }
    if (errno != EEXIST && errno != EINTR) {
      ThrowFor(path, "create the file", errno);
    }
  }
  ThrowFor(path, "create the file", EEXIST);
}

// Some file systems and every special file cannot be flushed, which is no fault.
bool FlushFailed(int fd) {
  while (::fsync(fd) != 0) {
    if (errno != EINTR) {
      return errno != EINVAL && errno != ENOTSUP;
    }
  }
  return false;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  Place place = FindPlace(path);
  target_ = std::move(place.target);
  switch (place.kind) {
    case Place::Kind::kRegular:
      std::tie(fd_, temporary_) = OpenTemporaryBeside(path_, target_);
      return;
    case Place::Kind::kSpecial:
      do {
        fd_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
      } while (fd_ < 0 && errno == EINTR);
      break;
    case Place::Kind::kDescriptor:
      fd_ = ::fcntl(place.descriptor, F_DUPFD_CLOEXEC, 0);
      break;
  }
  if (fd_ < 0) {
    Fail("open", errno);
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::Write(const void* data, size_t size_bytes) {
  if (fd_ < 0) {
    ThrowInternal(path_ + ": written after it was committed");
  }
  const auto* next = static_cast<const std::byte*>(data);
  while (size_bytes > 0) {
    const ssize_t written = ::write(fd_, next, size_bytes);
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      Fail("write", errno);
    }
    next += written;
    size_bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::Commit() {
  if (fd_ < 0) {
    ThrowInternal(path_ + ": committed twice");
  }
  if (FlushFailed(fd_)) {
    Fail("write", errno);
  }
  // After an interrupted close the descriptor is gone all the same, and its data were flushed
  // above.
  if (::close(std::exchange(fd_, -1)) != 0 && errno != EINTR) {
    Fail("write", errno);
  }
  if (temporary_.empty()) {
    return;
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    Fail("replace the file", errno);
  }
  temporary_.clear();
  const fs::path folder = fs::path(target_).parent_path();
  const int folder_fd =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {  // a folder may allow writing but not reading
    const bool failed = FlushFailed(folder_fd);
    const int error_number = errno;
    ::close(folder_fd);
    if (failed) {
      Fail("write the folder of the file", error_number);
    }
  }
}

void AtomicFile::Fail(const char* action, int error_number) const {
  ThrowFor(path_, action, error_number);
}

void WriteFileAtomically(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.Write(bytes);
  file.Commit();
}

void WriteFileAtomically(const std::string& path, std::string_view text) {
  WriteFileAtomically(path, std::as_bytes(std::span(text)));
}

void CheckWritable(const std::string& path) {
  const Place place = FindPlace(path);
  switch (place.kind) {
    case Place::Kind::kRegular: {
      const AtomicFile probe(path);
      return;
    }
    case Place::Kind::kSpecial:
      if (::access(place.target.c_str(), W_OK) != 0) {
        ThrowFor(path, "write", errno);
      }
      return;
    case Place::Kind::kDescriptor: {
      const int flags = ::fcntl(place.descriptor, F_GETFL);
      if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
        ThrowFor(path, "write", EBADF);
      }
      return;
    }
  }
}

std::string_view TemporaryStem(std::string_view file_name) {
  return file_name.substr(0, kMaxNameBytes);
}

std::string_view NameOfTemporary(std::string_view file_name) {
  constexpr size_t kTail = 1 + kRandomLetters + kTemporaryEnd.size();
  if (file_name.size() < 1 + 1 + kTail || !file_name.starts_with('.') ||
      !file_name.ends_with(kTemporaryEnd)) {
    return {};
  }
  const std::string_view tail = file_name.substr(file_name.size() - kTail);
  const std::string_view random = tail.substr(1, kRandomLetters);
  if (tail.front() != '.' || random.find_first_not_of(kAlphabet) != std::string_view::npos) {
    return {};
  }
  return file_name.substr(1, file_name.size() - 1 - kTail);
}

void RemoveTemporaries(const std::string& path) {
  const Place place = FindPlace(path);
  if (place.kind != Place::Kind::kRegular) return;
  const fs::path whole(place.target);
  const std::string file_name = whole.filename().string();
  const std::string_view name = TemporaryStem(file_name);
  const fs::path folder = whole.has_parent_path() ? whole.parent_path() : fs::path(".");
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string found = entry->path().filename().string();
    if (NameOfTemporary(found) != name) continue;
    if (::unlink(entry->path().c_str()) != 0 && errno != ENOENT) {
      ThrowFor(entry->path().string(), "remove the left-over file", errno);
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    ThrowFor(path, "list the folder of the file", error.value());
  }
}

}  // namespace ppx::base
