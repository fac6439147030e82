// The zip archive around the pickle program.
#include "weights/torch_archive.h"

#include <sys/stat.h>
#include <zip.h>

#include <cstring>
#include <string>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "unit/weights/pickle_code.h"
#include "weights/safetensors.h"

namespace ppx::weights {
namespace {

using testing::ErrorOf;
using testing::PickleDict;
using testing::PickleStorage;
using testing::PickleTensor;
using testing::ReadFile;
using testing::TempDir;
using testing::WriteFile;

const std::string kVoice = PPX_SOURCE_DIR "/tests/golden/tiny/voice.pt";

using Entries = std::vector<std::pair<std::string, std::string>>;

std::string MakeZip(const Entries& entries, zip_int32_t compression = ZIP_CM_STORE) {
  const TempDir dir;
  zip_t* archive = zip_open(dir.File("z").c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  REQUIRE(archive != nullptr);
  for (const auto& [name, bytes] : entries) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, 0);
    REQUIRE(index >= 0);
    REQUIRE(zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), compression, 0) ==
            0);
  }
  REQUIRE(zip_close(archive) == 0);
  return ReadFile(dir.File("z"));
}

// Changes the size that the directory at the archive's end states for an entry.
std::string ClaimSize(std::string archive, const std::string& entry, uint32_t size) {
  constexpr size_t kSizeAt = 24;
  constexpr size_t kNameAt = 46;
  const size_t name = archive.rfind(entry);
  REQUIRE(name != std::string::npos);
  REQUIRE(archive.compare(name - kNameAt, 4, "PK\x01\x02") == 0);
  std::memcpy(archive.data() + name - kNameAt + kSizeAt, &size, sizeof(size));
  return archive;
}

TensorMap Parse(const std::string& archive) {
  return ParseTorchArchive(std::as_bytes(std::span(archive)), "v.pt");
}

testing::Thrown Refusal(const std::string& archive) {
  const auto thrown = ErrorOf([&] { Parse(archive); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.message.rfind("v.pt: ", 0) == 0);
  return thrown;
}

// {"x": tensor of two bytes}
const std::string kProgram =
    PickleDict("x", PickleTensor(PickleStorage("ByteStorage", "7", 2), 0, {2}, {1}));

TEST_CASE("a voice saved by torch") {
  const TensorMap tensors = ReadTorchArchive(kVoice);
  REQUIRE(tensors.size() == 2);
  const OwnedTensor& embeddings = tensors.at("embeddings");
  CHECK(embeddings.dtype == DType::kF32);
  CHECK(embeddings.shape == std::vector<int64_t>{19, 1, 1, 64});
  REQUIRE(embeddings.data.size() == 19 * 64 * 4);
  std::vector<float> floats(19 * 64);
  std::memcpy(floats.data(), embeddings.data.data(), embeddings.data.size());
  // Read from the file by other means; all four are exact in float32.
  CHECK(floats[0] == -0.7269287109375F);
  CHECK(floats[1] == 0.55364990234375F);
  CHECK(floats[19 * 64 - 2] == 3.6279296875F);
  CHECK(floats[19 * 64 - 1] == -2.1261749267578125F);

  const OwnedTensor& cache = tensors.at("cache");
  CHECK(cache.dtype == DType::kI64);
  CHECK(cache.shape == std::vector<int64_t>{1, 17, 4});
  REQUIRE(cache.data.size() == 17 * 4 * 8);
  std::vector<int64_t> tokens(17 * 4);
  std::memcpy(tokens.data(), cache.data.data(), cache.data.size());
  // Rows 1 to 8 of the ring are the last four codes of the voice; all streams but the first are one
  // frame late, so one place further around the ring.
  const auto golden = SafetensorsFile::Open(PPX_SOURCE_DIR "/tests/golden/tiny/golden.safetensors");
  const TensorView* view = golden->Find("voice.codes");
  REQUIRE(view != nullptr);
  REQUIRE(view->shape == std::vector<int64_t>{8, 20});
  std::vector<int32_t> codes(8 * 20);
  std::memcpy(codes.data(), view->data.data(), view->data.size());
  for (size_t stream = 0; stream < 8; ++stream) {
    const size_t late = stream == 0 ? 0 : 1;
    for (size_t i = 0; i < 4; ++i) {
      CAPTURE(stream);
      CAPTURE(i);
      CHECK(tokens[(1 + stream) * 4 + (i + late) % 4] == codes[stream * 20 + 16 + i]);
    }
  }
}

TEST_CASE("the folder's name and the compression are the writer's choice") {
  for (const zip_int32_t compression : {ZIP_CM_STORE, ZIP_CM_DEFLATE}) {
    const auto tensors = Parse(MakeZip({{"any/data.pkl", kProgram},
                                        {"any/byteorder", "little"},
                                        {"any/data/7", "\x05\x06"},
                                        {"any/version", "3\n"}},
                                       compression));
    CHECK(tensors.at("x").data == std::vector<std::byte>{std::byte{5}, std::byte{6}});
  }
}

TEST_CASE("archives that are no voice are refused") {
  CHECK(Refusal(MakeZip({{"a/readme", "x"}})).Mentions("no data.pkl"));
  CHECK(Refusal(MakeZip({{"data.pkl", kProgram}})).Mentions("no data.pkl"));
  CHECK(Refusal(MakeZip({{"a/data.pkl", ""}})).Mentions("cut short"));
  CHECK(Refusal(MakeZip({{"a/data.pkl", kProgram}})).Mentions("storage '7' is missing"));
  CHECK(Refusal(MakeZip({{"a/data.pkl", kProgram}, {"b/data/7", "xy"}})).Mentions("is missing"));
  CHECK(Refusal(MakeZip({{"a/data.pkl", kProgram}, {"a/data/7", "x"}})).Mentions("cut short"));
  CHECK(Refusal(MakeZip({{"a/data.pkl", kProgram}, {"a/data/7", "xy"}, {"a/byteorder", "big"}}))
            .Mentions("big-endian"));
  CHECK(Refusal("").Mentions("no torch.save archive"));
  CHECK(Refusal("not a zip file, but long enough to be one").Mentions("no torch.save archive"));
  CHECK(Refusal(kProgram).Mentions("before 1.6"));
}

TEST_CASE("entries that lie about their size are refused") {
  const std::string zeros(3 << 20, '\0');
  const Entries entries{
      {"a/data.pkl", PickleDict("x", PickleTensor(PickleStorage("ByteStorage", "0", 3 << 20), 0,
                                                  {3 << 20}, {1}))},
      {"a/data/0", zeros}};
  const std::string good = MakeZip(entries, ZIP_CM_DEFLATE);
  CHECK(good.size() < 10'000);
  CHECK(Parse(good).at("x").data.size() == zeros.size());
  CHECK(Refusal(ClaimSize(good, "a/data/0", 10)).Mentions("cannot be unpacked"));
  CHECK(Refusal(ClaimSize(good, "a/data/0", (3 << 20) - 1)).Mentions("cannot be unpacked"));
  CHECK(Refusal(ClaimSize(good, "a/data/0", (3 << 20) + 1)).Mentions("cannot be unpacked"));
  CHECK(Refusal(ClaimSize(good, "a/data/0", 0x7fffffff)).Mentions("impossible size"));
  CHECK(Refusal(ClaimSize(good, "a/data.pkl", 0x7fffffff)).Mentions("impossible size"));
}

TEST_CASE("a byte of the data that has changed is noticed") {
  std::string archive = MakeZip({{"a/data.pkl", kProgram}, {"a/data/7", "\x05\x06"}});
  archive[archive.find("\x05\x06")] = '\x04';
  CHECK(Refusal(archive).Mentions("'a/data/7' cannot be unpacked"));
}

TEST_CASE("an archive cut anywhere is refused") {
  const std::string whole = ReadFile(kVoice);
  for (size_t cut = 0; cut < whole.size(); cut += 7) {
    CAPTURE(cut);
    Refusal(whole.substr(0, cut));
  }
}

TEST_CASE("what is no regular file is refused without waiting") {
  const TempDir dir;
  WriteFile(dir.File("empty"), "");
  REQUIRE(mkfifo(dir.File("fifo").c_str(), 0600) == 0);
  for (const std::string& path :
       {dir.File("absent"), dir.File("empty"), dir.File("fifo"), dir.path()}) {
    CAPTURE(path);
    const auto thrown = ErrorOf([&] { ReadTorchArchive(path); });
    CHECK(thrown.code == base::ErrorCode::kBadInput);
    CHECK(thrown.message.rfind(path + ": ", 0) == 0);
  }
}

}  // namespace
}  // namespace ppx::weights
