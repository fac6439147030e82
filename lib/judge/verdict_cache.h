// lib/judge/verdict_cache.h: answers of judges by what was asked, so that a rerun asks nothing.
//
// One answer is one file, FOLDER/KEY.json. KEY is the SHA-256 of the judge's name and version and
// of the whole request: model, temperature, max_tokens, both prompts with everything filled in.
// The base URL is not part of it: the model's name says who answered, and the same model is asked
// through gateways and ports that change. So give models that answer differently different names,
// or different folders, where a server answers to any name. The URL is written into the file.
//
// What is kept is the raw answer, an unparsable one too; it is read anew each time. Replies that
// failed are not kept. To have everything asked again, remove the folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ppx::judge {

struct CacheRequest {
  std::string judge_name;
  int judge_version = 0;
  std::string body;  // JSON
};

struct CachedAnswer {
  std::string content;
  std::string finish_reason;
  int64_t tokens_in = 0;  // of all times it was asked
  int64_t tokens_out = 0;
};

// Thread-safe; several processes may share a folder. Files are written atomically and replaced
// without a lock: the last one stays.
class VerdictCache {
 public:
  // Makes the folder. Throws base::Error (kUsage) where that cannot be done.
  explicit VerdictCache(std::string folder);

  // No value where there is no such file, and where the file is damaged: not JSON, of another
  // format or request, or its answer does not fit the digest that is kept beside it.
  std::optional<CachedAnswer> Find(const CacheRequest& request) const;

  // `base_url` is for people who look into the file.
  // Throws base::Error (kUsage, kResource) where the file cannot be written.
  void Store(const CacheRequest& request, const std::string& base_url,
             const CachedAnswer& answer) const;

  std::string PathOf(const CacheRequest& request) const;

 private:
  std::string folder_;
};

}  // namespace ppx::judge
