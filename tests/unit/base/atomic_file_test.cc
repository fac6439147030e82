#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::base {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;
using testing::ReadFile;
using testing::TempDir;
using testing::WriteFile;

mode_t ModeOf(const std::string& path) {
  struct stat status = {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

class ScopedUmask {
 public:
  explicit ScopedUmask(mode_t mask) : before_(::umask(mask)) {}
  ~ScopedUmask() { ::umask(before_); }
  ScopedUmask(const ScopedUmask&) = delete;
  ScopedUmask& operator=(const ScopedUmask&) = delete;

 private:
  mode_t before_;
};

TEST_CASE("a file appears at Commit, whole, and nothing else stays") {
  const TempDir dir;
  const std::string path = dir.File("out.bin");
  {
    AtomicFile file(path);
    file.Write("one ");
    const std::vector<std::byte> bytes = {std::byte{0}, std::byte{0xff}};
    file.Write(bytes);
    file.Write(nullptr, 0);
    CHECK(!fs::exists(path));
    REQUIRE(dir.CountEntries() == 1);
    const std::string temporary = fs::directory_iterator(dir.path())->path().filename().string();
    CHECK(temporary.starts_with(".out.bin."));
    CHECK(temporary.ends_with(".tmp"));
    file.Commit();
    CHECK(file.path() == path);
    CHECK(ErrorOf([&] { file.Commit(); }).code == ErrorCode::kInternal);
    CHECK(ErrorOf([&] { file.Write("x"); }).code == ErrorCode::kInternal);
  }
  CHECK(ReadFile(path) == std::string("one \0\xff", 6));
  CHECK(dir.CountEntries() == 1);
}

TEST_CASE("without Commit the old file stays and the temporary one goes") {
  const TempDir dir;
  const std::string path = dir.File("out.txt");
  WriteFile(path, "old");
  {
    AtomicFile file(path);
    file.Write("new");
    CHECK(dir.CountEntries() == 2);
  }
  CHECK(ReadFile(path) == "old");
  CHECK(dir.CountEntries() == 1);
}

TEST_CASE("an existing file is replaced; a reader of the old one is not disturbed") {
  const TempDir dir;
  const std::string path = dir.File("out.txt");
  WriteFile(path, "old");
  std::ifstream reader(path);
  WriteFileAtomically(path, "new content");
  CHECK(ReadFile(path) == "new content");
  std::string seen;
  reader >> seen;
  CHECK(seen == "old");
}

TEST_CASE("the mode follows the umask") {
  const TempDir dir;
  for (const mode_t mask : {mode_t{022}, mode_t{077}, mode_t{0}}) {
    const ScopedUmask scoped(mask);
    WriteFileAtomically(dir.File("out"), "x");
    CHECK(ModeOf(dir.File("out")) == (mode_t{0666} & ~mask));
  }
}

TEST_CASE("the descriptor is not inherited by child programs") {
  const TempDir dir;
  const AtomicFile file(dir.File("out"));
  int found = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string target = fs::read_symlink(entry.path(), error).string();
    if (target.find("/.out.") != std::string::npos) {
      ++found;
      CHECK((::fcntl(std::stoi(entry.path().filename().string()), F_GETFD) & FD_CLOEXEC) != 0);
    }
  }
  CHECK(found == 1);
}

TEST_CASE("a path relative to the working folder, and a name of the greatest length") {
  const TempDir dir;
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  WriteFileAtomically("plain", "1");
  CheckWritable("plain2");
  fs::current_path(before);
  CHECK(ReadFile(dir.File("plain")) == "1");
  const std::string long_name(255, 'n');
  WriteFileAtomically(dir.File(long_name), "2");
  CHECK(ReadFile(dir.File(long_name)) == "2");
  CHECK(ErrorOf([&] { CheckWritable(dir.File(long_name + "n")); }).code == ErrorCode::kUsage);
}

TEST_CASE("symbolic links stay and their target is replaced") {
  const TempDir dir;
  fs::create_directory(dir.File("deep"));
  WriteFile(dir.File("deep/target"), "old");
  fs::create_symlink("deep/target", dir.File("link"));
  fs::create_symlink(dir.File("link"), dir.File("link2"));
  WriteFileAtomically(dir.File("link2"), "new");
  CHECK(fs::is_symlink(dir.File("link2")));
  CHECK(fs::is_symlink(dir.File("link")));
  CHECK(!fs::is_symlink(dir.File("deep/target")));
  CHECK(ReadFile(dir.File("deep/target")) == "new");

  SUBCASE("dangling: the target is made") {
    fs::create_symlink("deep/later", dir.File("dangling"));
    CheckWritable(dir.File("dangling"));
    CHECK(!fs::exists(dir.File("deep/later")));
    WriteFileAtomically(dir.File("dangling"), "made");
    CHECK(fs::is_symlink(dir.File("dangling")));
    CHECK(ReadFile(dir.File("deep/later")) == "made");
  }
  SUBCASE("a circle is an error, not a hang") {
    fs::create_symlink("b", dir.File("a"));
    fs::create_symlink("a", dir.File("b"));
    const auto thrown = ErrorOf([&] { AtomicFile file(dir.File("a")); });
    CHECK(thrown.code == ErrorCode::kUsage);
    CHECK(thrown.Mentions(dir.File("a")));
  }
  SUBCASE("to a folder") {
    fs::create_directory_symlink("deep", dir.File("folder"));
    CHECK(ErrorOf([&] { CheckWritable(dir.File("folder")); }).Mentions("folder"));
  }
}

TEST_CASE("special files are written directly") {
  const TempDir dir;
  WriteFileAtomically("/dev/null", "gone");
  CheckWritable("/dev/null");
  CHECK(fs::is_character_file("/dev/null"));

  const std::string fifo = dir.File("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CheckWritable(fifo);  // must not wait for a reader
  std::string received;
  std::thread reader([&] { received = ReadFile(fifo); });
  WriteFileAtomically(fifo, "through the pipe");
  reader.join();
  CHECK(received == "through the pipe");
  CHECK(fs::is_fifo(fifo));
  CHECK(dir.CountEntries() == 1);
}

TEST_CASE("descriptor paths write to the open descriptor, appending where it appends") {
  const TempDir dir;
  const std::string log = dir.File("log");
  WriteFile(log, "before ");
  const int fd = ::open(log.c_str(), O_WRONLY | O_APPEND);
  REQUIRE(fd >= 0);
  for (const char* prefix : {"/dev/fd/", "/proc/self/fd/"}) {
    const std::string path = prefix + std::to_string(fd);
    CheckWritable(path);
    WriteFileAtomically(path, "x");
  }
  const int stdout_before = ::dup(STDOUT_FILENO);
  ::dup2(fd, STDOUT_FILENO);
  WriteFileAtomically("/dev/stdout", "y");
  ::dup2(stdout_before, STDOUT_FILENO);
  ::close(stdout_before);
  ::close(fd);
  CHECK(ReadFile(log) == "before xxy");
  CHECK(dir.CountEntries() == 1);
  CHECK(ErrorOf([&] { AtomicFile file("/dev/fd/" + std::to_string(fd)); }).code ==
        ErrorCode::kUsage);

  const int read_only = ::open(log.c_str(), O_RDONLY);
  const std::string path = "/dev/fd/" + std::to_string(read_only);
  CHECK(ErrorOf([&] { CheckWritable(path); }).code == ErrorCode::kUsage);
  ::close(read_only);
}

TEST_CASE("a full disk is a resource error that names the path") {
  const auto thrown = ErrorOf([] { WriteFileAtomically("/dev/full", "x"); });
  CHECK(thrown.code == ErrorCode::kResource);
  CHECK(thrown.Mentions("/dev/full"));
  CHECK(thrown.Mentions("space"));
}

TEST_CASE("a write that fails half-way leaves the old file and no temporary one") {
  const TempDir dir;
  const std::string path = dir.File("out");
  WriteFile(path, "old");
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 1000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto thrown = ErrorOf([&] { WriteFileAtomically(path, std::string(5000, 'x')); });
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(thrown.code == ErrorCode::kResource);
  CHECK(thrown.Mentions(path));
  CHECK(ReadFile(path) == "old");
  CHECK(dir.CountEntries() == 1);
}

TEST_CASE("paths that cannot be written are told at once, and nothing is left behind") {
  const TempDir dir;
  WriteFile(dir.File("file"), "keep");
  const auto code_of = [](const std::string& path) {
    const auto checked = ErrorOf([&] { CheckWritable(path); });
    const auto opened = ErrorOf([&] { AtomicFile file(path); });
    CHECK(checked.code == opened.code);
    CHECK((!checked.code || checked.Mentions(path)));
    return checked.code;
  };
  CHECK(code_of("") == ErrorCode::kUsage);
  CHECK(code_of(dir.path()) == ErrorCode::kUsage);
  CHECK(code_of(dir.path() + "/") == ErrorCode::kUsage);
  CHECK(code_of(dir.File("new/")) == ErrorCode::kUsage);
  CHECK(code_of(dir.File("none/out")) == ErrorCode::kUsage);
  CHECK(code_of(dir.File("file/out")) == ErrorCode::kUsage);
  CHECK(!code_of(dir.File("file")).has_value());
  CHECK(!code_of(dir.File("fresh")).has_value());
  CHECK(ReadFile(dir.File("file")) == "keep");
  CHECK(dir.CountEntries() == 1);
}

TEST_CASE("a folder without write permission" * doctest::skip(::geteuid() == 0)) {
  const TempDir dir;
  fs::create_directory(dir.File("locked"));
  fs::permissions(dir.File("locked"), fs::perms::owner_read | fs::perms::owner_exec);
  const auto thrown = ErrorOf([&] { CheckWritable(dir.File("locked/out")); });
  CHECK(thrown.code == ErrorCode::kUsage);
  CHECK(thrown.Mentions("may write"));
}

TEST_CASE("the names of temporary files are told from others") {
  CHECK(NameOfTemporary(".out.wav.a1b2c3.tmp") == "out.wav");
  CHECK(NameOfTemporary("..hidden.a1b2c3.tmp") == ".hidden");
  CHECK(NameOfTemporary(".x.zzzzzz.tmp") == "x");
  for (const char* const other :
       {"", ".", ".tmp", ".abcdef.tmp", "..abcdef.tmp", "out.wav.a1b2c3.tmp", ".out.wav.a1b2c.tmp",
        ".out.wav.a1b2c3d.tmp", ".out.wav.A1b2c3.tmp", ".out.wav.a1b2c3.tmp~",
        ".out.wav-a1b2c3.tmp", ".out.wav.a1b-c3.tmp"}) {
    INFO(other);
    CHECK(NameOfTemporary(other).empty());
  }
}

TEST_CASE("what killed writers left behind is removed, and nothing else") {
  const TempDir dir;
  const std::string path = dir.File("out.wav");
  for (const char* const name : {"out.wav", ".out.wav.aaaaaa.tmp", ".out.wav.bbbbb9.tmp"}) {
    WriteFile(dir.File(name), "x");
  }
  const std::vector<std::string> others = {".out.wav2.aaaaaa.tmp", ".out.wav.AAAAAA.tmp",
                                           ".xout.wav.aaaaaa.tmp", "out.wav.aaaaaa.tmp"};
  for (const std::string& name : others) WriteFile(dir.File(name), "x");
  RemoveTemporaries(path);
  CHECK(dir.CountEntries() == static_cast<long>(1 + others.size()));
  for (const std::string& name : others) CHECK(fs::exists(dir.File(name)));
  CHECK(fs::exists(path));

  SUBCASE("relative, and again with nothing there") {
    const fs::path before = fs::current_path();
    fs::current_path(dir.path());
    WriteFile(".out.wav.cccccc.tmp", "x");
    RemoveTemporaries("out.wav");
    RemoveTemporaries("out.wav");
    CHECK(!fs::exists(".out.wav.cccccc.tmp"));
    fs::current_path(before);
  }
  SUBCASE("of a name that was cut") {
    const std::string long_name(250, 'n');
    std::string cut(200, 'n');
    cut.insert(cut.begin(), '.');
    WriteFile(dir.File(cut + ".dddddd.tmp"), "x");
    RemoveTemporaries(dir.File(long_name));
    CHECK(dir.CountEntries() == static_cast<long>(1 + others.size()));
  }
  SUBCASE("beside the target of a link") {
    fs::create_directory(dir.File("deep"));
    WriteFile(dir.File("deep/.target.eeeeee.tmp"), "x");
    fs::create_symlink("deep/target", dir.File("link"));
    RemoveTemporaries(dir.File("link"));
    CHECK(!fs::exists(dir.File("deep/.target.eeeeee.tmp")));
  }
  SUBCASE("a folder that is not there, a special file") {
    RemoveTemporaries(dir.File("none/out.wav"));
    RemoveTemporaries("/dev/null");
    RemoveTemporaries("/dev/stdout");
  }
}

}  // namespace
}  // namespace ppx::base
