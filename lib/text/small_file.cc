#include "text/small_file.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/error.h"

namespace ppx::text {

std::string ReadSmallFile(const std::string& path, size_t max_bytes, const std::string& what) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (!file) {
    base::ThrowBadInput(fmt::format("{}: {}; expected {}", path, base::ErrnoText(errno), what));
  }
  std::string bytes;
  std::array<char, 65536> block;
  while (const size_t count = std::fread(block.data(), 1, block.size(), file.get())) {
    bytes.append(block.data(), count);
    if (bytes.size() > max_bytes) {
      base::ThrowBadInput(
          fmt::format("{}: longer than {} bytes; is it {}?", path, max_bytes, what));
    }
  }
  if (std::ferror(file.get()) != 0) {
    base::ThrowBadInput(fmt::format("{}: {}; expected {}", path, base::ErrnoText(errno), what));
  }
  if (bytes.empty()) base::ThrowBadInput(fmt::format("{}: empty; expected {}", path, what));
  return bytes;
}

}  // namespace ppx::text
