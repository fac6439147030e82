// lib/suite/sample_folders.h: the samples of a suite that are on disk.
#pragma once

#include <string>
#include <vector>

#include "suite/suite.h"

namespace ppx::suite {

struct SampleFolder {
  size_t task = 0;     // place in Suite::tasks
  std::string id;      // "17"
  std::string folder;  // relative to the root: "candor_turn_taking/17"
};

struct FoundSamples {
  // By task in the suite's order, then by id: numbers as numbers, before other names, these by
  // their bytes. Whatever order the file system has.
  std::vector<SampleFolder> samples;
  std::vector<std::string> absent_tasks;  // no such folder under the root
};

// Folders whose name begins with a dot are left out; files beside the folders are ignored.
// Throws base::Error (kBadInput) where `root` is no folder or holds no sample of any task: the text
// names the folders that were expected.
FoundSamples FindSamples(const Suite& suite, const std::string& root);

// "2" < "10" < "a".
bool NaturalLess(const std::string& a, const std::string& b);

}  // namespace ppx::suite
