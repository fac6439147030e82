#include "base/error.h"

#include <cerrno>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::base {
namespace {

using testing::ErrorOf;

TEST_CASE("every error code maps to its documented exit code") {
  CHECK(Error(ErrorCode::kUsage, "").exit_code() == ExitCode::kUsage);
  CHECK(Error(ErrorCode::kBadInput, "").exit_code() == ExitCode::kBadInput);
  CHECK(Error(ErrorCode::kResource, "").exit_code() == ExitCode::kResource);
  CHECK(Error(ErrorCode::kInternal, "").exit_code() == ExitCode::kInternal);
  CHECK(Error(ErrorCode::kInterrupted, "").exit_code() == ExitCode::kInterrupted);
  CHECK(static_cast<int>(ExitCode::kInterrupted) == 130);
}

TEST_CASE("the shorthands carry code and text") {
  CHECK(ErrorOf([] { ThrowUsage("a"); }).code == ErrorCode::kUsage);
  CHECK(ErrorOf([] { ThrowBadInput("a"); }).code == ErrorCode::kBadInput);
  CHECK(ErrorOf([] { ThrowResource("a"); }).code == ErrorCode::kResource);
  const auto internal = ErrorOf([] { ThrowInternal("broken"); });
  CHECK(internal.code == ErrorCode::kInternal);
  CHECK(internal.Mentions("broken"));
  CHECK(internal.Mentions("report"));
  CHECK(ErrorOf([] { ThrowBadInput("in.wav: no samples"); }).message == "in.wav: no samples");
}

TEST_CASE("errno values have a text") { CHECK(ErrnoText(ENOENT) == "No such file or directory"); }

}  // namespace
}  // namespace ppx::base
