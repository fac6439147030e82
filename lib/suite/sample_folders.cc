#include "suite/sample_folders.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace ppx::suite {
namespace {

namespace fs = std::filesystem;

bool IsNumber(const std::string& name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string WithoutZeros(const std::string& digits) {
  return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
}

std::vector<std::string> Folders(const fs::path& parent) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (name.front() != '.' && entry->is_directory(ignored)) names.push_back(name);
  }
  if (error) {
    base::ThrowBadInput(fmt::format("{}: cannot be read: {}", parent.string(), error.message()));
  }
  std::sort(names.begin(), names.end(), NaturalLess);
  return names;
}

}  // namespace

bool NaturalLess(const std::string& a, const std::string& b) {
  if (IsNumber(a) != IsNumber(b)) return IsNumber(a);
  if (IsNumber(a)) {
    const std::string x = WithoutZeros(a);
    const std::string y = WithoutZeros(b);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  return a < b;
}

FoundSamples FindSamples(const Suite& suite, const std::string& root) {
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) {
    base::ThrowBadInput(
        fmt::format("{}: no such folder; expected the root of {}", root, suite.name));
  }
  FoundSamples found;
  std::vector<std::string> expected;
  for (size_t i = 0; i < suite.tasks.size(); ++i) {
    const bool in_root = suite.layout == Layout::kSampleFolders;
    const fs::path folder = in_root ? fs::path() : fs::path(suite.tasks[i].folder);
    expected.push_back(in_root ? "one folder a sample" : folder.string() + "/");
    if (!fs::is_directory(fs::path(root) / folder, ignored)) {
      found.absent_tasks.push_back(suite.tasks[i].name);
      continue;
    }
    for (const std::string& id : Folders(fs::path(root) / folder)) {
      found.samples.push_back({i, id, (folder / id).string()});
    }
  }
  if (found.samples.empty()) {
    base::ThrowBadInput(fmt::format("{}: no sample of {} in it; expected {}", root, suite.name,
                                    fmt::join(expected, ", ")));
  }
  return found;
}

}  // namespace ppx::suite
