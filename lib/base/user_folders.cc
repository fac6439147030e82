#include "base/user_folders.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace ppx::base {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> HomeFolder() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  if (const passwd* user = getpwuid(geteuid()); user != nullptr) return user->pw_dir;
  return std::nullopt;
}

}  // namespace

std::optional<fs::path> EnvironmentFolder(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return std::nullopt;
  const std::string_view text = value;
  if (text == "~" || text.substr(0, 2) == "~/") {
    if (const auto home = HomeFolder())
      return *home / text.substr(std::min<size_t>(2, text.size()));
  }
  return fs::path(text);
}

fs::path UserCache() {
  if (auto folder = EnvironmentFolder("XDG_CACHE_HOME")) return *folder;
  return HomeFolder().value_or("/") / ".cache";
}

fs::path ToolkitCache() {
  if (auto folder = EnvironmentFolder("PPX_CACHE")) return *folder;
  return UserCache() / "ppx";
}

}  // namespace ppx::base
