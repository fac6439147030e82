#include "base/small_file.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/error.h"

namespace ppx::base {

std::string ReadSmallFile(const std::string& path, size_t max_bytes, const std::string& what) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (!file) {
    ThrowBadInput(fmt::format("{}: {}; expected {}", path, ErrnoText(errno), what));
  }
  std::string bytes;
  std::array<char, 65536> block;
  while (const size_t count = std::fread(block.data(), 1, block.size(), file.get())) {
    bytes.append(block.data(), count);
    if (bytes.size() > max_bytes) {
      ThrowBadInput(fmt::format("{}: longer than {} bytes; is it {}?", path, max_bytes, what));
    }
  }
  if (std::ferror(file.get()) != 0) {
    ThrowBadInput(fmt::format("{}: {}; expected {}", path, ErrnoText(errno), what));
  }
  if (bytes.empty()) ThrowBadInput(fmt::format("{}: empty; expected {}", path, what));
  return bytes;
}

}  // namespace ppx::base
