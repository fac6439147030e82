// lib/evaluate/json_cache.h: small results kept by what they were made from.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace ppx::evaluate {

// One file an entry, named by the hash of its key; several processes may share a folder.
class JsonCache {
 public:
  // `folder`: empty for a cache that keeps nothing. `kind` is a folder in it: "audio".
  JsonCache(const std::string& folder, const std::string& kind);

  // No value where there is no entry, or a damaged one.
  std::optional<nlohmann::json> Find(const std::string& key) const;
  // A cache that cannot be written costs time, nothing else: failures are not told.
  void Keep(const std::string& key, const nlohmann::json& value) const;

  bool enabled() const { return !folder_.empty(); }

 private:
  std::string PathOf(const std::string& key) const;

  std::string folder_;
};

}  // namespace ppx::evaluate
