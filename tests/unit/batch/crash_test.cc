// Processes that are killed at random moments, and what the next one finds.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "batch/journal_sink.h"
#include "batch/plan_file.h"
#include "batch/state_lock.h"
#include "batch/todo.h"
#include "batch/verify.h"
#include "fake_renderer.h"
#include "support/doctest.h"
#include "support/temp_dir.h"

namespace ppx::batch {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;

Plan ManyDialogues() {
  std::vector<int64_t> frames;
  for (int64_t i = 0; i < 150; ++i) frames.push_back(1 + i % 23);
  Plan plan = MakePlan(frames);
  for (size_t i = 0; i < plan.size(); i += 5) plan[i].slots = 2;
  return plan;
}

// As a program does it, from the lock to the last file. Starts are noted in `log`.
void RenderInto(const Plan& plan, const std::string& folder, const Shard& shard,
                const std::string& log) {
  const std::string state = MakeStateFolder(folder);
  const StateLock lock(state, shard, WhenBusy::kWait);
  WriteStateFile(state, kPlanName, PlanText(plan), /*lock=*/true);
  const Ledger ledger = Ledger::Read(state);
  const TodoList todo = Todo(plan, ledger, shard, folder, CheckFiles::kSize);
  RemoveLeftOvers(plan, todo.todo, folder);
  JournalWriter writer((fs::path(state) / JournalName(shard)).string(), ledger.next_seq());
  writer.Redo(todo.damaged_ids);
  writer.Run("{}");
  JournalSink sink(plan, ledger, writer);
  FakeWorld world(plan);
  world.output_folder = folder;
  const int log_fd = ::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  world.on = [&](const std::string& what, size_t number) {
    if (what != "start") return;
    const std::string line = plan[number].id + "\n";
    if (::write(log_fd, line.data(), line.size()) < 0) base::ThrowResource("log");
  };
  BatchObserver observer;
  const std::vector<Device> devices = {{"a", 4, FakeMaker(world)}, {"b", 2, FakeMaker(world)}};
  RunBatch(plan, todo.todo, FakeLoader(world), devices, {}, observer, sink);
  ::close(log_fd);
}

pid_t StartRender(const Plan& plan, const std::string& folder, const Shard& shard,
                  const std::string& log) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid > 0) return pid;
  try {
    RenderInto(plan, folder, shard, log);
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

std::map<std::string, std::string> OutputFiles(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string path = entry.path().lexically_relative(folder).string();
    if (entry.is_regular_file() && !path.starts_with(".ppx-batch/")) {
      files[path] = testing::ReadFile(entry.path().string());
    }
  }
  return files;
}

std::set<std::string> DoneIds(const std::string& folder) {
  std::set<std::string> ids;
  const Ledger ledger = Ledger::Read(StateFolder(folder));
  for (const auto& [id, record] : ledger.records()) {
    if (ledger.Done(id) != nullptr) ids.insert(id);
  }
  return ids;
}

std::vector<std::string> Started(const std::string& log) {
  std::vector<std::string> ids;
  if (!fs::exists(log)) return ids;
  std::istringstream lines(testing::ReadFile(log));
  for (std::string line; std::getline(lines, line);) ids.push_back(line);
  return ids;
}

TEST_CASE(
    "killed at random moments and resumed: the same files, nothing done twice, no left-overs") {
  const Plan plan = ManyDialogues();
  const TempDir whole;
  RenderInto(plan, whole.path(), {}, whole.File("log"));
  fs::remove(whole.File("log"));
  const auto expected = OutputFiles(whole.path());
  REQUIRE(expected.size() == 2 * plan.size());

  const TempDir dir;
  const TempDir logs;
  std::mt19937 random(7);
  const Shard shards[] = {{1, 1}, {1, 2}, {2, 2}, {2, 3}};
  int kills = 0;
  std::set<std::string> done;
  for (int round = 0; round < 50; ++round) {
    const std::string log = logs.File(std::to_string(round));
    const pid_t pid = StartRender(plan, dir.path(), shards[round % 4], log);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    ::kill(pid, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    kills += WIFSIGNALED(status);
    for (const std::string& id : Started(log)) {
      INFO(id);
      CHECK_FALSE(done.contains(id));
    }
    const Ledger ledger = Ledger::Read(StateFolder(dir.path()));
    CHECK_FALSE(ledger.damaged());
    const auto now = DoneIds(dir.path());
    CHECK(std::includes(now.begin(), now.end(), done.begin(), done.end()));
    done = now;
    // What is journaled is whole at any moment.
    for (const std::string& id : done) {
      for (const WrittenFile& file : ledger.Done(id)->files) {
        CHECK_FALSE(WrongWithFile(dir.path(), file, /*hash=*/true, nullptr));
      }
    }
  }
  CHECK(kills > 0);

  const std::string log = logs.File("last");
  const pid_t last = StartRender(plan, dir.path(), {}, log);
  int status = 0;
  REQUIRE(::waitpid(last, &status, 0) == last);
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  const auto started = Started(log);
  CHECK(started.size() == plan.size() - done.size());
  for (const std::string& id : started) CHECK_FALSE(done.contains(id));
  CHECK(OutputFiles(dir.path()) == expected);
  base::NoProgress progress;
  const VerifyReport report =
      Verify(dir.path(), Ledger::Read(StateFolder(dir.path())), 2, progress);
  CHECK(report.ok());
  CHECK(report.dialogues == static_cast<int64_t>(plan.size()));
}

TEST_CASE("several processes with different shard counts at once: every dialogue once") {
  const Plan plan = ManyDialogues();
  const TempDir dir;
  const TempDir logs;
  const std::vector<Shard> shards = {{1, 1}, {1, 2}, {2, 2}, {1, 3}, {2, 3}, {3, 3}, {1, 1}};
  std::vector<pid_t> processes;
  for (size_t i = 0; i < shards.size(); ++i) {
    processes.push_back(StartRender(plan, dir.path(), shards[i], logs.File(std::to_string(i))));
  }
  std::multiset<std::string> started;
  for (size_t i = 0; i < shards.size(); ++i) {
    int status = 0;
    REQUIRE(::waitpid(processes[i], &status, 0) == processes[i]);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
    for (const std::string& id : Started(logs.File(std::to_string(i)))) started.insert(id);
  }
  CHECK(started.size() == plan.size());
  CHECK(std::set<std::string>(started.begin(), started.end()).size() == plan.size());
  base::NoProgress progress;
  CHECK(Verify(dir.path(), Ledger::Read(StateFolder(dir.path())), 1, progress).ok());
}

}  // namespace
}  // namespace ppx::batch
