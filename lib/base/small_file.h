// lib/base/small_file.h: a file that fits in memory, read whole.
#pragma once

#include <cstddef>
#include <string>

namespace ppx::base {

// The file's bytes. `what` names the expected content for the error text, such as "a persona file".
// Throws Error (kBadInput) with the path for a file that is missing, cannot be read, is a
// folder, is empty, or is longer than `max_bytes` (then it is not what it should be).
std::string ReadSmallFile(const std::string& path, size_t max_bytes, const std::string& what);

}  // namespace ppx::base
