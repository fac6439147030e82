// Which samples are found, in which order.
#include "suite/sample_folders.h"

#include <filesystem>
#include <fstream>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::suite {
namespace {

namespace fs = std::filesystem;
using testing::ErrorOf;
using testing::TempDir;

Suite TwoTasks() {
  Suite suite;
  suite.name = "Two";
  suite.tasks.resize(2);
  suite.tasks[0].name = suite.tasks[0].folder = "b";
  suite.tasks[1].name = suite.tasks[1].folder = "a";
  return suite;
}

TEST_CASE("numbers as numbers, then names") {
  CHECK(NaturalLess("2", "10"));
  CHECK(NaturalLess("002", "3"));
  CHECK(NaturalLess("10", "a"));
  CHECK(NaturalLess("a", "b"));
  CHECK_FALSE(NaturalLess("10", "2"));
  CHECK(NaturalLess("2", "02") != NaturalLess("02", "2"));
  CHECK(NaturalLess("99999999999999999999998", "99999999999999999999999"));
}

TEST_CASE("by task in the suite's order, then by id") {
  const TempDir dir;
  for (const char* folder : {"a/10", "a/9", "a/x", "a/.hidden", "b/1", "other/1"}) {
    fs::create_directories(fs::path(dir.path()) / folder);
  }
  std::ofstream(fs::path(dir.path()) / "a" / "file.json") << "{}";
  const FoundSamples found = FindSamples(TwoTasks(), dir.path());
  std::vector<std::string> folders;
  for (const SampleFolder& sample : found.samples) folders.push_back(sample.folder);
  CHECK(folders == std::vector<std::string>{"b/1", "a/9", "a/10", "a/x"});
  CHECK(found.samples[0].task == 0);
  CHECK(found.samples[1].task == 1);
  CHECK(found.samples[2].id == "10");
  CHECK(found.absent_tasks.empty());
}

TEST_CASE("absent tasks are told, no sample at all is an error") {
  const TempDir dir;
  fs::create_directories(fs::path(dir.path()) / "a" / "1");
  CHECK(FindSamples(TwoTasks(), dir.path()).absent_tasks == std::vector<std::string>{"b"});
  const TempDir empty;
  CHECK(ErrorOf([&] { FindSamples(TwoTasks(), empty.path()); }).Mentions("b/, a/"));
  CHECK(ErrorOf([&] { FindSamples(TwoTasks(), "/nowhere/at/all"); }).Mentions("no such folder"));
}

TEST_CASE("sample folders in the root itself") {
  const TempDir dir;
  fs::create_directories(fs::path(dir.path()) / "7");
  Suite suite = TwoTasks();
  suite.layout = Layout::kSampleFolders;
  suite.tasks.resize(1);
  const FoundSamples found = FindSamples(suite, dir.path());
  REQUIRE(found.samples.size() == 1);
  CHECK(found.samples[0].folder == "7");
}

}  // namespace
}  // namespace ppx::suite
