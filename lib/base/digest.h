// lib/base/digest.h: SHA-256 (FIPS 180-4), as 64 lower-case hexadecimal digits.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace ppx::base {

// A digest over bytes that come piece by piece. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  // Throws Error (kInternal) after `FinishHex`.
  void Update(std::span<const std::byte> bytes);
  // The digest of all bytes so far. Once only: throws Error (kInternal) the second time.
  std::string FinishHex();

 private:
  struct ContextDeleter {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, ContextDeleter> context_;
  bool finished_ = false;
};

std::string Sha256Hex(std::span<const std::byte> bytes);

// Of the file's content, read in blocks. Throws Error: kBadInput if the file is missing, is a
// folder or may not be read, kResource if the disk fails, kInterrupted once `cancel` is true.
std::string Sha256File(const std::string& path, const std::atomic<bool>* cancel = nullptr);

}  // namespace ppx::base
