#include "common/toolkit_files.h"

#include <filesystem>

#include "base/digest.h"
#include "support/doctest.h"
#include "support/temp_dir.h"

namespace ppx::app {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;

// So many zeros, which take no room on the disk.
void WriteZeros(const std::string& path, uintmax_t bytes) {
  std::ofstream(path).close();
  fs::resize_file(path, bytes);
}

TEST_CASE("the digest of a large file is kept, that of a small one is not") {
  const TempDir folder;
  const fs::path cache = folder.File("cache");
  ::setenv("PPX_CACHE", cache.c_str(), 1);
  const std::string small = folder.File("small");
  WriteZeros(small, 1000);
  CHECK(CachedSha256File(small, nullptr) == base::Sha256File(small));
  CHECK_FALSE(fs::exists(cache));

  const std::string large = folder.File("large");
  WriteZeros(large, uintmax_t{65} << 20);
  const std::string digest = base::Sha256File(large);
  CHECK(CachedSha256File(large, nullptr) == digest);
  REQUIRE(fs::exists(cache / "digests"));
  const fs::path entry = fs::directory_iterator(cache / "digests")->path();
  // What is kept is believed, what is damaged is not.
  testing::WriteFile(entry.string(), std::string(64, '7'));
  CHECK(CachedSha256File(large, nullptr) == std::string(64, '7'));
  testing::WriteFile(entry.string(), "7");
  CHECK(CachedSha256File(large, nullptr) == digest);
  CHECK(CachedSha256File(large, nullptr) == digest);
  // Another size, and so another file.
  WriteZeros(large, uintmax_t{66} << 20);
  CHECK(CachedSha256File(large, nullptr) == base::Sha256File(large));

  ::setenv("PPX_CACHE", small.c_str(), 1);  // no folder
  CHECK(CachedSha256File(large, nullptr) == base::Sha256File(large));
  ::unsetenv("PPX_CACHE");
}

}  // namespace
}  // namespace ppx::app
