// apps/ppx_eval/results_file.h: results that an earlier run wrote.
#pragma once

#include <string>

#include "base/small_file.h"
#include "report/results_json.h"

namespace ppx::app {

inline report::Results ReadResults(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{1} << 30;
  return report::ResultsFromJson(
      base::ReadSmallFile(path, kMaxBytes, "results of ppx-eval score (JSON)"), path);
}

}  // namespace ppx::app
