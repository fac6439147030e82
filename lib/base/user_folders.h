// lib/base/user_folders.h: where programs keep things for a user. Read from the environment anew by
// each call.
#pragma once

#include <filesystem>
#include <optional>

namespace ppx::base {

// The folder that an environment variable names, a leading ~ replaced; none where it is empty.
std::optional<std::filesystem::path> EnvironmentFolder(const char* variable);

// $XDG_CACHE_HOME, else ~/.cache.
std::filesystem::path UserCache();

// What scripts/setup fetched and what programs keep: $PPX_CACHE, else ppx in UserCache().
std::filesystem::path ToolkitCache();

}  // namespace ppx::base
