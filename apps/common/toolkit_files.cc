#include "common/toolkit_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <vector>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"
#include "base/user_folders.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDigestDigits = 64;
constexpr off_t kLargeFile = off_t{64} << 20;  // smaller ones are hashed sooner than found

}  // namespace

std::string DataFolder() {
  return base::EnvironmentFolder("PPX_DATA").value_or(PPX_DATA_DIR).string();
}

std::string FindOwnFile(const std::string& name, const std::string& folder) {
  std::error_code ignored;
  if (fs::is_regular_file(name, ignored)) return name;
  const fs::path own = fs::path(DataFolder()) / folder;
  if (name.find('/') == std::string::npos) {
    const fs::path candidate = own / (name + ".yaml");
    if (fs::is_regular_file(candidate, ignored)) return candidate.string();
  }
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(own, ignored)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  base::ThrowBadInput(fmt::format("{}: no such file, and none of the toolkit's own: {}", name,
                                  fmt::join(names, ", ")));
}

std::string CachedSha256File(const std::string& path, const std::atomic<bool>* cancel) {
  struct stat facts {};
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error || ::stat(real.c_str(), &facts) != 0 || facts.st_size < kLargeFile) {
    return base::Sha256File(path, cancel);
  }
  const std::string identity =
      fmt::format("{}\n{} {} {} {}.{:09}", real.string(), facts.st_dev, facts.st_ino, facts.st_size,
                  facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
  const fs::path folder = base::ToolkitCache() / "digests";
  const fs::path entry =
      folder / base::Sha256Hex(std::as_bytes(std::span(identity.data(), identity.size())));
  if (fs::is_regular_file(entry, error)) {
    try {
      const std::string digest = base::ReadSmallFile(entry.string(), kDigestDigits, "a digest");
      if (digest.size() == kDigestDigits) return digest;
    } catch (const base::Error&) {
      // Damaged: made anew below.
    }
  }
  const std::string digest = base::Sha256File(path, cancel);
  fs::create_directories(folder, error);
  try {
    base::WriteFileAtomically(entry.string(), digest);
  } catch (const base::Error&) {
    // Read again the next time.
  }
  return digest;
}

}  // namespace ppx::app
