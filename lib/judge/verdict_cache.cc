#include "judge/verdict_cache.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/small_file.h"

namespace ppx::judge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kMaxEntryBytes = size_t{16} << 20;

std::string Digest(const std::string& text) {
  return base::Sha256Hex(std::as_bytes(std::span(text)));
}

// Over everything that a verdict is made from.
std::string AnswerDigest(const CachedAnswer& a) {
  return Digest(json::array({a.content, a.finish_reason, a.tokens_in, a.tokens_out}).dump());
}

}  // namespace

VerdictCache::VerdictCache(std::string folder) : folder_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error || !fs::is_directory(folder_, error)) {
    base::ThrowUsage(
        fmt::format("{}: cannot make the folder for the judge's answers{}; name one "
                    "that you may write to",
                    folder_, error ? ": " + error.message() : ""));
  }
}

std::optional<CachedAnswer> VerdictCache::Find(const CacheRequest& request) const {
  const std::string path = PathOf(request);
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return std::nullopt;
  try {
    const json entry = json::parse(base::ReadSmallFile(path, kMaxEntryBytes, "a judge's answer"));
    CachedAnswer answer;
    answer.content = entry.at("answer").get<std::string>();
    answer.finish_reason = entry.at("finish_reason").get<std::string>();
    answer.tokens_in = entry.at("tokens_in").get<int64_t>();
    answer.tokens_out = entry.at("tokens_out").get<int64_t>();
    const bool whole = entry.at("format") == kFormat &&
                       entry.at("request") == json::parse(request.body) &&
                       entry.at("sha256") == AnswerDigest(answer);
    return whole ? std::optional(std::move(answer)) : std::nullopt;
  } catch (const json::exception&) {
    return std::nullopt;
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

void VerdictCache::Store(const CacheRequest& request, const std::string& base_url,
                         const CachedAnswer& answer) const {
  const json entry = {{"format", kFormat},
                      {"judge", request.judge_name},
                      {"judge_version", request.judge_version},
                      {"base_url", base_url},
                      {"request", json::parse(request.body)},
                      {"answer", answer.content},
                      {"finish_reason", answer.finish_reason},
                      {"tokens_in", answer.tokens_in},
                      {"tokens_out", answer.tokens_out},
                      {"sha256", AnswerDigest(answer)}};
  base::WriteFileAtomically(PathOf(request), entry.dump(2) + "\n");
}

std::string VerdictCache::PathOf(const CacheRequest& request) const {
  const std::string key =
      Digest(json::array({request.judge_name, request.judge_version, request.body}).dump());
  return (fs::path(folder_) / (key + ".json")).string();
}

}  // namespace ppx::judge
