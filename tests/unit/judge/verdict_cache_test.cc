#include "judge/verdict_cache.h"

#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::judge {
namespace {

using testing::TempDir;

const CacheRequest kRequest = {"politeness", 1, R"({"model": "m", "temperature": 0.0})"};
const CachedAnswer kAnswer = {"a \u00e9 \"b\"", "stop", 7, 3};

TEST_CASE("what is stored is found, by everything that was asked") {
  const TempDir dir;
  const VerdictCache cache(dir.File("new/folder"));
  CHECK_FALSE(cache.Find(kRequest));
  cache.Store(kRequest, "http://a/v1", kAnswer);
  const auto found = VerdictCache(dir.File("new/folder")).Find(kRequest);
  REQUIRE(found);
  CHECK(found->content == kAnswer.content);
  CHECK(found->finish_reason == "stop");
  CHECK(found->tokens_in == 7);
  CHECK(found->tokens_out == 3);

  CacheRequest other = kRequest;
  other.judge_name = "rudeness";
  CHECK_FALSE(cache.Find(other));
  other = kRequest;
  other.judge_version = 2;
  CHECK_FALSE(cache.Find(other));
  other = kRequest;
  other.body = R"({"model": "n", "temperature": 0.0})";
  CHECK_FALSE(cache.Find(other));

  CachedAnswer newer = kAnswer;
  newer.content = "newer";
  cache.Store(kRequest, "http://b/v1", newer);
  CHECK(cache.Find(kRequest)->content == "newer");
  CHECK(std::distance(std::filesystem::directory_iterator(dir.File("new/folder")), {}) == 1);
}

TEST_CASE("damaged files are not there") {
  const TempDir dir;
  const VerdictCache cache(dir.path());
  cache.Store(kRequest, "http://a/v1", kAnswer);
  const std::string path = cache.PathOf(kRequest);
  const std::string whole = testing::ReadFile(path);
  for (size_t length = 0; length + 1 < whole.size(); ++length) {  // the last byte ends the line
    testing::WriteFile(path, whole.substr(0, length));
    INFO(length);
    CHECK_FALSE(cache.Find(kRequest));
  }
  const auto changed = [&](const std::string& field, const nlohmann::json& value) {
    auto entry = nlohmann::json::parse(whole);
    entry[field] = value;
    testing::WriteFile(path, entry.dump());
    return cache.Find(kRequest);
  };
  CHECK(changed("base_url", "elsewhere"));
  CHECK_FALSE(changed("answer", "another"));
  CHECK_FALSE(changed("answer", 5));
  CHECK_FALSE(changed("tokens_in", 8));
  CHECK_FALSE(changed("tokens_out", "3"));
  CHECK_FALSE(changed("finish_reason", "length"));
  CHECK_FALSE(changed("format", 2));
  CHECK_FALSE(changed("request", {{"model", "other"}}));
  testing::WriteFile(path, "[]");
  CHECK_FALSE(cache.Find(kRequest));
  testing::WriteFile(path, std::string(100000, '['));
  CHECK_FALSE(cache.Find(kRequest));
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  CHECK_FALSE(cache.Find(kRequest));
}

TEST_CASE("a folder that cannot be made") {
  const TempDir dir;
  testing::WriteFile(dir.File("file"), "x");
  for (const std::string& folder : {dir.File("file"), dir.File("file/sub"), std::string()}) {
    const auto thrown = testing::ErrorOf([&] { VerdictCache cache(folder); });
    CHECK(thrown.code == base::ErrorCode::kUsage);
    CHECK(thrown.Mentions(folder));
  }
}

}  // namespace
}  // namespace ppx::judge
