#include "base/digest.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/error.h"

namespace ppx::base {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

void Sha256::ContextDeleter::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) {
    ThrowResource("OpenSSL offers no SHA-256; check the installation of libcrypto");
  }
}

Sha256::~Sha256() = default;

void Sha256::Update(std::span<const std::byte> bytes) {
  if (finished_ || EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) {
    ThrowInternal("SHA-256 updated after its end");
  }
}

std::string Sha256::FinishHex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned size = 0;
  if (std::exchange(finished_, true) ||
      EVP_DigestFinal_ex(context_.get(), digest.data(), &size) != 1) {
    ThrowInternal("SHA-256 finished twice");
  }
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    hex += fmt::format("{:02x}", digest[i]);
  }
  return hex;
}

std::string Sha256Hex(std::span<const std::byte> bytes) {
  Sha256 digest;
  digest.Update(bytes);
  return digest.FinishHex();
}

std::string Sha256File(const std::string& path, const std::atomic<bool>* cancel) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    ThrowBadInput(fmt::format("{}: cannot open the file: {}; check the path and its permissions",
                              path, ErrnoText(errno)));
  }
  const Descriptor file(fd);
  constexpr size_t kBlockBytes = size_t{1} << 20;
  std::vector<std::byte> block(kBlockBytes);
  Sha256 digest;
  for (;;) {
    if (cancel != nullptr && *cancel) throw Error(ErrorCode::kInterrupted, path + ": interrupted");
    const ssize_t got = ::read(file.get(), block.data(), block.size());
    if (got == 0) {
      return digest.FinishHex();
    }
    if (got > 0) {
      digest.Update(std::span(block).first(static_cast<size_t>(got)));
    } else if (errno == EISDIR) {
      ThrowBadInput(path + ": is a folder; name a file");
    } else if (errno != EINTR) {
      ThrowResource(
          fmt::format("{}: cannot read the file: {}; check the disk", path, ErrnoText(errno)));
    }
  }
}

}  // namespace ppx::base
