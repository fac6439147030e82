#include "base/digest.h"

#include <string>
#include <string_view>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::base {
namespace {

using testing::ErrorOf;
using testing::TempDir;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// The examples published with FIPS 180-4.
constexpr std::string_view kEmptyDigest =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kAbcDigest =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kMillionDigest =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST_CASE("published SHA-256 vectors") {
  CHECK(Sha256Hex({}) == kEmptyDigest);
  CHECK(Sha256Hex(Bytes("abc")) == kAbcDigest);
  CHECK(Sha256Hex(Bytes(std::string(1000000, 'a'))) == kMillionDigest);
}

TEST_CASE("pieces give the digest of the whole") {
  Sha256 digest;
  digest.Update(Bytes("a"));
  digest.Update({});
  digest.Update(Bytes("bc"));
  CHECK(digest.FinishHex() == kAbcDigest);
  CHECK(ErrorOf([&] { digest.Update(Bytes("d")); }).code == ErrorCode::kInternal);
  CHECK(ErrorOf([&] { digest.FinishHex(); }).code == ErrorCode::kInternal);
}

TEST_CASE("files: empty, longer than one block, missing, a folder") {
  const TempDir dir;
  testing::WriteFile(dir.File("empty"), "");
  CHECK(Sha256File(dir.File("empty")) == kEmptyDigest);
  const std::string big((size_t{2} << 20) + 17, 'x');
  testing::WriteFile(dir.File("big"), big);
  CHECK(Sha256File(dir.File("big")) == Sha256Hex(Bytes(big)));

  const auto missing = ErrorOf([&] { Sha256File(dir.File("none")); });
  CHECK(missing.code == ErrorCode::kBadInput);
  CHECK(missing.Mentions(dir.File("none")));
  const auto folder = ErrorOf([&] { Sha256File(dir.path()); });
  CHECK(folder.code == ErrorCode::kBadInput);
  CHECK(folder.Mentions("folder"));
}

}  // namespace
}  // namespace ppx::base
