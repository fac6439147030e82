#include "weights/safetensors.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"

namespace ppx::weights {
namespace {

using testing::ErrorOf;
using testing::ReadFile;
using testing::TempDir;

std::string FileOf(const std::string& header, size_t data_bytes) {
  std::string bytes(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + header + std::string(data_bytes, '\1');
}

testing::Thrown Refusal(const std::string& file) {
  const auto thrown =
      ErrorOf([&] { ParseSafetensors(std::as_bytes(std::span(file)), "m.safetensors"); });
  if (thrown.code) CHECK(thrown.message.rfind("m.safetensors: ", 0) == 0);
  return thrown;
}

TEST_CASE("tensors of every type come back as they were written, in the same bytes each time") {
  const TempDir dir;
  const std::vector<float> floats{1.5F, -2, 3};
  const std::vector<int64_t> longs{7, -8};
  const std::vector<std::byte> bytes(6, std::byte{9});
  const std::vector<NamedTensor> tensors{
      {"b", DType::kBf16, {3}, bytes},
      {"f", DType::kF32, {3, 1}, std::as_bytes(std::span(floats))},
      {"i", DType::kI64, {2}, std::as_bytes(std::span(longs))},
      {"none", DType::kF32, {0, 5}, {}},
      {"u", DType::kU8, {2, 3}, bytes}};
  WriteSafetensors(dir.File("a"), tensors, {{"format", "test"}});
  WriteSafetensors(dir.File("b"), {tensors.rbegin(), tensors.rend()}, {{"format", "test"}});
  CHECK(ReadFile(dir.File("a")) == ReadFile(dir.File("b")));
  const auto file = SafetensorsFile::Open(dir.File("a"));
  CHECK(file->metadata().at("format") == "test");
  CHECK(file->tensors().size() == tensors.size());
  CHECK(file->Find("absent") == nullptr);
  for (const NamedTensor& tensor : tensors) {
    CAPTURE(tensor.name);
    const TensorView* view = file->Find(tensor.name);
    REQUIRE(view != nullptr);
    CHECK(view->dtype == tensor.dtype);
    CHECK(view->shape == tensor.shape);
    CHECK(std::equal(view->data.begin(), view->data.end(), tensor.data.begin(), tensor.data.end()));
    if (!view->data.empty()) {
      CHECK(reinterpret_cast<uintptr_t>(view->data.data()) % SizeOf(view->dtype) == 0);
    }
  }
}

TEST_CASE("a header that lies is refused with the file's name") {
  const auto entry = [](const std::string& dtype, const std::string& shape,
                        const std::string& offsets) {
    return R"({"t":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
           offsets + "}}";
  };
  CHECK_FALSE(Refusal(FileOf(entry("F32", "[2]", "[0,8]"), 8)).code);
  CHECK_FALSE(Refusal(FileOf(entry("U8", "[]", "[0,1]"), 1)).code);
  const std::vector<std::pair<std::string, std::string>> cases{
      {"short", "shorter than"},
      {std::string(8, '\0'), "header of 0 bytes"},
      {std::string(7, '\0') + '\1' + "{}", "announced"},
      {FileOf("{}", 0).substr(0, 9), "announced"},
      {FileOf("nothing", 0), "not JSON"},
      {FileOf("[1,2]", 0), "no JSON object"},
      {FileOf(R"({"t":1})", 0), "tensor 't'"},
      {FileOf(entry("F99", "[2]", "[0,8]"), 8), "'F99'"},
      {FileOf(entry("F32", "[-2]", "[0,8]"), 8), "shape"},
      {FileOf(entry("F32", "[2.5]", "[0,8]"), 8), "shape"},
      {FileOf(entry("F32", "[18446744073709551615]", "[0,8]"), 8), "shape"},
      {FileOf(entry("F32", "[4294967296,4294967296]", "[0,0]"), 0), "do not fit"},
      {FileOf(entry("F32", "[2]", "[8,0]"), 8), "ends before"},
      {FileOf(entry("F32", "[2]", "[0,7]"), 8), "do not fit"},
      {FileOf(entry("F32", "[2]", "[0,8]"), 5), "3 bytes after the end"},
      {FileOf(entry("F32", "[2]", "[0,8]"), 9), "after its last tensor"},
      {FileOf(entry("F32", "[2]", "[1,9]"), 9), "overlap or leave gaps"},
      {FileOf(
           R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
           3),
       "overlap"},
      {FileOf(
           R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
           1),
       "twice"},
      {FileOf(R"({"__metadata__":{"n":1}})", 0), "metadata"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"}};
  for (const auto& refusal : cases) {
    const auto& part = refusal.second;
    CAPTURE(part);
    const auto thrown = Refusal(refusal.first);
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CHECK(thrown.Mentions(part));
  }
}

TEST_CASE("a good file cut at any byte is refused") {
  const std::string whole = ReadFile(PPX_SOURCE_DIR "/tests/golden/tiny/golden.safetensors");
  const size_t header_end = 3000;
  for (size_t cut = 0; cut < header_end; cut += 7) CHECK(Refusal(whole.substr(0, cut)).code);
  for (size_t cut = whole.size() - 20; cut < whole.size(); ++cut) {
    CHECK(Refusal(whole.substr(0, cut)).Mentions("download it again"));
  }
}

TEST_CASE("what is no regular file is refused without waiting") {
  const TempDir dir;
  CHECK(ErrorOf([&] {
          SafetensorsFile::Open(dir.File("absent"));
        }).Mentions("absent: cannot be opened"));
  CHECK(ErrorOf([&] { SafetensorsFile::Open(dir.path()); }).code == base::ErrorCode::kBadInput);
  REQUIRE(mkfifo(dir.File("fifo").c_str(), 0600) == 0);
  CHECK(ErrorOf([&] { SafetensorsFile::Open(dir.File("fifo")); }).Mentions("not a regular file"));
}

}  // namespace
}  // namespace ppx::weights
