#include "weights/torch_archive.h"

#include <cstring>

#include "support/doctest.h"
#include "unit/base/expect_error.h"
#include "unit/base/temp_dir.h"

namespace ppx::weights {
namespace {

using testing::ErrorOf;
using testing::ReadFile;

const std::string kVoice = PPX_SOURCE_DIR "/tests/golden/tiny/voice.pt";

std::string Text(const std::string& text) {  // SHORT_BINUNICODE
  return std::string("\x8c") + static_cast<char>(text.size()) + text;
}
std::string Number(int value) {  // BININT
  std::string code(5, 'J');
  std::memcpy(code.data() + 1, &value, 4);
  return code;
}
std::string Numbers(const std::vector<int>& values) {
  std::string code = "(";
  for (const int value : values) code += Number(value);
  return code + "t";
}
std::string Global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
// _rebuild_tensor_v2(storage "0" of six int64, offset, shape, strides, False, OrderedDict())
std::string TensorCode(int offset, const std::vector<int>& shape, const std::vector<int>& strides) {
  return Global("torch._utils", "_rebuild_tensor_v2") + "((" + Text("storage") +
         Global("torch", "LongStorage") + Text("0") + Text("cpu") + Number(6) + "tQ" +
         Number(offset) + Numbers(shape) + Numbers(strides) + "\x89" +
         Global("collections", "OrderedDict") + ")RtR";
}
std::string DictOf(const std::string& key, const std::string& value) {
  return "\x80\x02}" + Text(key) + value + "s.";
}

TensorMap Parse(const std::string& program) {
  std::vector<int64_t> storage{10, 11, 12, 13, 14, 15};
  return ParseTorchPickle(
      std::as_bytes(std::span(program)),
      [&](const std::string&) {
        const auto bytes = std::as_bytes(std::span(storage));
        return std::vector<std::byte>(bytes.begin(), bytes.end());
      },
      "v.pt");
}
testing::Thrown Refusal(const std::string& program) {
  const auto thrown = ErrorOf([&] { Parse(program); });
  CHECK(thrown.code == base::ErrorCode::kBadInput);
  CHECK(thrown.message.rfind("v.pt: ", 0) == 0);
  return thrown;
}

TEST_CASE("a voice saved by torch") {
  const TensorMap tensors = ReadTorchArchive(kVoice);
  REQUIRE(tensors.size() == 2);
  CHECK(tensors.at("embeddings").dtype == DType::kF32);
  CHECK(tensors.at("embeddings").shape == std::vector<int64_t>{19, 1, 1, 64});
  CHECK(tensors.at("embeddings").data.size() == 19 * 64 * 4);
  CHECK(tensors.at("cache").dtype == DType::kI64);
  CHECK(tensors.at("cache").shape == std::vector<int64_t>{1, 17, 4});
}

TEST_CASE("strides and offsets are honoured") {
  const auto values = [](const OwnedTensor& tensor) {
    std::vector<int64_t> numbers(tensor.data.size() / 8);
    std::memcpy(numbers.data(), tensor.data.data(), tensor.data.size());
    return numbers;
  };
  CHECK(values(Parse(DictOf("x", TensorCode(0, {2, 3}, {3, 1}))).at("x")) ==
        std::vector<int64_t>{10, 11, 12, 13, 14, 15});
  CHECK(values(Parse(DictOf("x", TensorCode(0, {3, 2}, {1, 3}))).at("x")) ==
        std::vector<int64_t>{10, 13, 11, 14, 12, 15});
  CHECK(values(Parse(DictOf("x", TensorCode(4, {2}, {1}))).at("x")) ==
        std::vector<int64_t>{14, 15});
  CHECK(values(Parse(DictOf("x", TensorCode(1, {3}, {0}))).at("x")) ==
        std::vector<int64_t>{11, 11, 11});
  CHECK(Parse(DictOf("x", TensorCode(6, {0}, {1}))).at("x").data.empty());
}

TEST_CASE("nothing is run, and what would be is named") {
  CHECK(Refusal("\x80\x02" + Global("os", "system") + Text("true") + "\x85R.")
            .Mentions("'os.system'"));
  CHECK(Refusal("\x80\x04" + Text("posix") + Text("system") + "\x93.").Mentions("'posix.system'"));
  CHECK(Refusal("\x80\x02" + Global("builtins", "eval") + ".").Mentions("'builtins.eval'"));
  CHECK(Refusal(DictOf("x", Global("torch", "LongStorage") + ")R")).Mentions("unknown way"));
}

TEST_CASE("tensors that reach beyond their storage are refused") {
  for (const auto& code :
       {TensorCode(1, {2, 3}, {3, 1}), TensorCode(-1, {2}, {1}), TensorCode(7, {1}, {1}),
        TensorCode(0, {-1}, {1}), TensorCode(0, {2}, {-1}), TensorCode(0, {7}, {1}),
        TensorCode(0, {2147483647, 2147483647, 2147483647}, {2147483647, 2147483647, 2147483647}),
        TensorCode(0, {2147483647, 2147483647}, {0, 0}), TensorCode(0, {2, 2}, {1})}) {
    Refusal(DictOf("x", code));
  }
}

TEST_CASE("damaged programs are refused") {
  const std::string good = DictOf("x", TensorCode(0, {2, 3}, {3, 1}));
  for (size_t cut = 0; cut < good.size(); ++cut) Refusal(good.substr(0, cut));
  Refusal(".");
  Refusal("\x80\x09}.");
  Refusal("\x80\x02}i.");
  Refusal("\x80\x02h\x05.");
  Refusal("\x80\x02" + Number(1) + ".");
  Refusal(DictOf("x", Number(1)));
  Refusal("\x80\x02}" + Number(1) + TensorCode(0, {1}, {1}) + "s.");
  // A dict that holds itself: freed all the same (the leak check of the sanitized build sees to
  // it).
  Refusal(std::string("\x80\x02}q\0", 5) + Text("x") + std::string("h\0s.", 4));
}

TEST_CASE("an archive cut anywhere is refused") {
  const std::string whole = ReadFile(kVoice);
  for (size_t cut = 0; cut < whole.size(); cut += 13) {
    const std::string part = whole.substr(0, cut);
    CHECK(ErrorOf([&] { ParseTorchArchive(std::as_bytes(std::span(part)), "v.pt"); }).code ==
          base::ErrorCode::kBadInput);
  }
  CHECK(ErrorOf([] { ReadTorchArchive("absent.pt"); }).Mentions("absent.pt"));
  CHECK(ErrorOf([] { ReadTorchArchive("/"); }).code == base::ErrorCode::kBadInput);
}

}  // namespace
}  // namespace ppx::weights
