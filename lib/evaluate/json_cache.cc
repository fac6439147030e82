#include "evaluate/json_cache.h"

#include <filesystem>
#include <span>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"

namespace ppx::evaluate {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxEntryBytes = size_t{64} << 20;

}  // namespace

JsonCache::JsonCache(const std::string& folder, const std::string& kind)
    : folder_(folder.empty() ? "" : (fs::path(folder) / kind).string()) {}

std::string JsonCache::PathOf(const std::string& key) const {
  const std::string name = base::Sha256Hex(std::as_bytes(std::span(key)));
  return (fs::path(folder_) / name.substr(0, 2) / (name + ".json")).string();
}

std::optional<nlohmann::json> JsonCache::Find(const std::string& key) const {
  if (!enabled()) return std::nullopt;
  const std::string path = PathOf(key);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return std::nullopt;
  try {
    return nlohmann::json::parse(base::ReadSmallFile(path, kMaxEntryBytes, "a cache entry"));
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

void JsonCache::Keep(const std::string& key, const nlohmann::json& value) const {
  if (!enabled()) return;
  const std::string path = PathOf(key);
  std::error_code ignored;
  fs::create_directories(fs::path(path).parent_path(), ignored);
  try {
    base::WriteFileAtomically(path, value.dump() + "\n");
  } catch (const base::Error&) {
    return;
  }
}

}  // namespace ppx::evaluate
