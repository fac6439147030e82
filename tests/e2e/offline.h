// tests/e2e/offline.h: ppx-offline on the bundled checkpoint.
#pragma once

#include <string>

#include "e2e/files.h"

namespace ppx::test {

inline std::string TinyFolder() { return PPX_SOURCE_DIR "/configs/tiny"; }
inline std::string GoldenFile(const std::string& name) {
  return std::string(PPX_SOURCE_DIR "/tests/golden/tiny/") + name;
}

// Runs ppx-offline on the CPU, without the user's settings in the environment.
RunResult Offline(const Arguments& arguments, RunOptions options = {});

// `--model tiny --input-wav INPUT`, with its path.
Arguments Tiny(const std::string& input);

}  // namespace ppx::test
