#include "nn/packed_store.h"

#include <cstring>
#include <filesystem>
#include <vector>

#include "base/atomic_file.h"
#include "support/doctest_torch.h"
#include "support/temp_dir.h"

namespace ppx::nn {
namespace {

using kernels::PackedMatrix;
using kernels::WeightForm;

PackedMatrix Matrix(WeightForm form, int64_t outputs, int64_t inputs) {
  std::vector<float> numbers(static_cast<size_t>(outputs * inputs));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 17) - 8;
  return {form, {.data = numbers.data(), .outputs = outputs, .inputs = inputs}};
}

}  // namespace

TEST_CASE("packed store: what was saved comes back, under its form alone") {
  const testing::TempDir folder;
  const std::string path = folder.File("made/on/demand/weights.safetensors");
  const PackedMatrix a = Matrix(WeightForm::kInt8, 70, 40);
  PackedStore made(path, WeightForm::kInt8);
  CHECK_FALSE(made.complete());
  CHECK_FALSE(made.Find("a", 70, 40));
  made.Add("a", a);
  made.Add("b", Matrix(WeightForm::kInt8, 3, 300));
  CHECK(made.Save("as told"));

  const PackedStore read(path, WeightForm::kInt8);
  CHECK(read.complete());
  CHECK(read.notes() == "as told");
  const auto found = read.Find("a", 70, 40);
  REQUIRE(found);
  REQUIRE(found->size_bytes() == a.size_bytes());
  CHECK(std::memcmp(found->bytes(), a.bytes(), a.size_bytes()) == 0);
  CHECK(read.Find("b", 3, 300));
  CHECK_FALSE(read.Find("b", 3, 600));
  CHECK_FALSE(read.Find("c", 3, 300));
  CHECK_FALSE(PackedStore(path, WeightForm::kInt4).complete());
}

TEST_CASE("packed store: a damaged file counts as none, an empty path is never written") {
  const testing::TempDir folder;
  const std::string path = folder.File("weights.safetensors");
  {
    PackedStore made(path, WeightForm::kInt4);
    made.Add("a", Matrix(WeightForm::kInt4, 64, 128));
    REQUIRE(made.Save(""));
  }
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  CHECK_FALSE(PackedStore(path, WeightForm::kInt4).complete());
  base::WriteFileAtomically(path, "not weights");
  PackedStore again(path, WeightForm::kInt4);
  CHECK_FALSE(again.complete());
  again.Add("a", Matrix(WeightForm::kInt4, 64, 128));
  CHECK(again.Save("mended"));
  CHECK(PackedStore(path, WeightForm::kInt4).notes() == "mended");

  const std::string bare = folder.File("bare.safetensors");
  CHECK(PackedStore(bare, WeightForm::kInt8).Save("notes alone"));
  CHECK(PackedStore(bare, WeightForm::kInt8).complete());
  CHECK(PackedStore(bare, WeightForm::kInt8).notes() == "notes alone");

  PackedStore nowhere("", WeightForm::kInt8);
  nowhere.Add("a", Matrix(WeightForm::kInt8, 2, 2));
  CHECK(nowhere.Find("a", 2, 2));
  CHECK_FALSE(nowhere.Save(""));
  PackedStore refused("/proc/no/such/folder/weights", WeightForm::kInt8);
  CHECK_FALSE(refused.Save(""));
}

}  // namespace ppx::nn
