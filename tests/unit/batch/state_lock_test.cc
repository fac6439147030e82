#include "batch/state_lock.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "batch/ledger.h"
#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;
using testing::TempDir;

// A process that holds a shard's lock until it is killed.
class Holder {
 public:
  Holder(const std::string& folder, const Shard& shard) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      try {
        const StateLock lock(folder, shard, WhenBusy::kFail);
        const char ready = 'y';
        if (::write(ends[1], &ready, 1) == 1) {
          while (true) ::pause();
        }
      } catch (const base::Error&) {
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    char ready = 'n';
    holds_ = ::read(ends[0], &ready, 1) == 1 && ready == 'y';
    ::close(ends[0]);
  }
  ~Holder() { Kill(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  bool holds() const { return holds_; }
  void Kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  bool holds_ = false;
};

bool Free(const std::string& folder, const Shard& shard) {
  const auto thrown = ErrorOf([&] { const StateLock lock(folder, shard, WhenBusy::kFail); });
  if (!thrown.code) return true;
  CHECK(thrown.code == base::ErrorCode::kResource);
  CHECK(thrown.Mentions(ToText(shard)));
  return false;
}

TEST_CASE("the state folder is made, and told where it cannot be") {
  const TempDir dir;
  CHECK(StateFolder("out") == "out/.ppx-batch");
  const std::string folder = MakeStateFolder(dir.File("new/out"));
  CHECK(folder == dir.File("new/out/.ppx-batch"));
  CHECK(fs::is_directory(folder));
  CHECK(MakeStateFolder(dir.File("new/out")) == folder);
  testing::WriteFile(dir.File("file"), "x");
  CHECK(ErrorOf([&] { MakeStateFolder(dir.File("file")); }).code == base::ErrorCode::kUsage);
  CHECK(ErrorOf([&] { StateLock(dir.File("none"), {}, WhenBusy::kFail); }).code ==
        base::ErrorCode::kUsage);
}

TEST_CASE("processes exclude each other where their shards share dialogues") {
  const TempDir dir;
  {
    const Holder holder(dir.path(), {2, 4});
    REQUIRE(holder.holds());
    CHECK(Free(dir.path(), {1, 4}));
    CHECK_FALSE(Free(dir.path(), {2, 4}));
    CHECK(Free(dir.path(), {3, 4}));
    CHECK(Free(dir.path(), {4, 4}));
    CHECK_FALSE(Free(dir.path(), {1, 1}));
    CHECK_FALSE(Free(dir.path(), {1, 2}));
    CHECK(Free(dir.path(), {2, 2}));
    // [1/4, 1/2) against thirds and fifths
    CHECK_FALSE(Free(dir.path(), {1, 3}));
    CHECK_FALSE(Free(dir.path(), {2, 3}));
    CHECK(Free(dir.path(), {3, 3}));
    CHECK(Free(dir.path(), {1, 5}));
    CHECK_FALSE(Free(dir.path(), {2, 5}));
    CHECK_FALSE(Free(dir.path(), {3, 5}));
    CHECK(Free(dir.path(), {4, 5}));
    const Holder other(dir.path(), {3, 4});
    CHECK(other.holds());
    const Holder same(dir.path(), {2, 4});
    CHECK_FALSE(same.holds());
  }
  CHECK(Free(dir.path(), {1, 1}));
  CHECK(fs::file_size(dir.File("lock")) == 0);
}

TEST_CASE("two locks of one process exclude each other too") {
  const TempDir dir;
  const StateLock lock(dir.path(), {1, 2}, WhenBusy::kFail);
  CHECK_FALSE(Free(dir.path(), {1, 1}));
  CHECK(Free(dir.path(), {2, 2}));
}

TEST_CASE("a killed process holds nothing; who waits goes on and was told once") {
  const TempDir dir;
  Holder holder(dir.path(), {1, 1});
  REQUIRE(holder.holds());
  int told = 0;
  std::atomic<bool> waiting{false};
  std::thread killer([&] {
    while (!waiting) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    holder.Kill();
  });
  {
    const StateLock lock(dir.path(), {2, 3}, WhenBusy::kWait, nullptr, [&] {
      ++told;
      waiting = true;
    });
    CHECK(told == 1);
    CHECK_FALSE(Free(dir.path(), {1, 1}));
  }
  killer.join();
  const StateLock again(dir.path(), {2, 3}, WhenBusy::kWait, nullptr, [&] { ++told; });
  CHECK(told == 1);
}

TEST_CASE("waiting ends with an interrupt") {
  const TempDir dir;
  const Holder holder(dir.path(), {1, 1});
  REQUIRE(holder.holds());
  std::atomic<bool> interrupt{false};
  const auto thrown = ErrorOf([&] {
    const StateLock lock(dir.path(), {1, 1}, WhenBusy::kWait, &interrupt,
                         [&] { interrupt = true; });
  });
  CHECK(thrown.code == base::ErrorCode::kInterrupted);
}

TEST_CASE("files that shards share are written when they change, and left-overs go") {
  const TempDir dir;
  const StateLock shard(dir.path(), {1, 1}, WhenBusy::kFail);
  WriteStateFile(dir.path(), "plan.jsonl", "one\n", /*lock=*/true);
  CHECK(testing::ReadFile(dir.File("plan.jsonl")) == "one\n");
  const auto before = fs::last_write_time(dir.File("plan.jsonl"));
  testing::WriteFile(dir.File(".plan.jsonl.abcdef.tmp"), "torn");
  WriteStateFile(dir.path(), "plan.jsonl", "one\n", /*lock=*/true);
  CHECK(fs::last_write_time(dir.File("plan.jsonl")) == before);
  CHECK_FALSE(fs::exists(dir.File(".plan.jsonl.abcdef.tmp")));
  WriteStateFile(dir.path(), "plan.jsonl", "two\n", /*lock=*/false);
  CHECK(testing::ReadFile(dir.File("plan.jsonl")) == "two\n");
  CHECK(dir.CountEntries() == 2);

  std::vector<std::jthread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] {
      for (int k = 0; k < 5; ++k) {
        WriteStateFile(dir.path(), "plan.jsonl", std::to_string(k % 2), /*lock=*/true);
      }
    });
  }
  writers.clear();
  CHECK(dir.CountEntries() == 2);
}

}  // namespace
}  // namespace ppx::batch
