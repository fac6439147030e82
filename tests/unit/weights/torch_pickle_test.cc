// The pickle program of a torch.save file: what is understood, and what is refused.
#include <cstring>
#include <string>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "unit/weights/pickle_code.h"
#include "weights/torch_archive.h"

namespace ppx::weights {
namespace {

using testing::ErrorOf;
using testing::PickleDict;
using testing::PickleGlobal;
using testing::PickleNumber;
using testing::PickleNumbers;
using testing::PickleStorage;
using testing::PickleTensor;
using testing::PickleText;

const std::string kLongs = PickleStorage("LongStorage", "0", 6);

// Every storage is six int64: 10 to 15.
TensorMap Parse(const std::string& program) {
  const std::vector<int64_t> storage{10, 11, 12, 13, 14, 15};
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
  CHECK(thrown.message.size() < 2000);
  return thrown;
}

std::vector<int64_t> Values(const OwnedTensor& tensor) {
  REQUIRE(tensor.dtype == DType::kI64);
  std::vector<int64_t> numbers(tensor.data.size() / 8);
  if (!numbers.empty()) std::memcpy(numbers.data(), tensor.data.data(), tensor.data.size());
  return numbers;
}

std::vector<int64_t> ValuesOf(int offset, const std::vector<int>& shape,
                              const std::vector<int>& strides) {
  const auto tensors = Parse(PickleDict("x", PickleTensor(kLongs, offset, shape, strides)));
  REQUIRE(tensors.size() == 1);
  CHECK(tensors.at("x").shape == std::vector<int64_t>(shape.begin(), shape.end()));
  return Values(tensors.at("x"));
}

TEST_CASE("strides and offsets are honoured") {
  using Numbers = std::vector<int64_t>;
  CHECK(ValuesOf(0, {2, 3}, {3, 1}) == Numbers{10, 11, 12, 13, 14, 15});
  CHECK(ValuesOf(0, {3, 2}, {1, 3}) == Numbers{10, 13, 11, 14, 12, 15});
  CHECK(ValuesOf(4, {2}, {1}) == Numbers{14, 15});
  CHECK(ValuesOf(0, {3}, {2}) == Numbers{10, 12, 14});
  CHECK(ValuesOf(1, {3}, {0}) == Numbers{11, 11, 11});
  CHECK(ValuesOf(0, {2, 2, 2}, {1, 2, 1}) == Numbers{10, 11, 12, 13, 11, 12, 13, 14});
  CHECK(ValuesOf(5, {1, 1}, {100, 100}) == Numbers{15});
  CHECK(ValuesOf(3, {}, {}) == Numbers{13});
  CHECK(ValuesOf(6, {0}, {1}).empty());
  CHECK(ValuesOf(0, {2, 0, 3}, {3, 3, 1}).empty());
}

TEST_CASE("storages of every type") {
  const std::vector<std::pair<std::string, DType>> types{
      {"DoubleStorage", DType::kF64}, {"FloatStorage", DType::kF32},
      {"HalfStorage", DType::kF16},   {"BFloat16Storage", DType::kBf16},
      {"LongStorage", DType::kI64},   {"IntStorage", DType::kI32},
      {"ShortStorage", DType::kI16},  {"CharStorage", DType::kI8},
      {"ByteStorage", DType::kU8},    {"BoolStorage", DType::kBool}};
  for (const auto& [type, dtype] : types) {
    CAPTURE(type);
    const auto tensors =
        Parse(PickleDict("x", PickleTensor(PickleStorage(type, "0", 6), 1, {5}, {1})));
    CHECK(tensors.at("x").dtype == dtype);
    CHECK(tensors.at("x").data.size() == 5 * SizeOf(dtype));
    // The second element begins one element, not one byte, after the first.
    if (SizeOf(dtype) == 4) CHECK(tensors.at("x").data[4] == std::byte{11});
  }
}

TEST_CASE("a dict of two keys, set at once, values through the memo") {
  const std::string tensor = PickleTensor(kLongs, 2, {1}, {1});
  const auto tensors = Parse(std::string("\x80\x02}(") + PickleText("a") + tensor + "q\x07" +
                             PickleText("b") + std::string("h\x07") + "u.");
  REQUIRE(tensors.size() == 2);
  CHECK(Values(tensors.at("a")) == std::vector<int64_t>{12});
  CHECK(Values(tensors.at("b")) == std::vector<int64_t>{12});
  CHECK(Parse(std::string("\x80\x02}.")).empty());
}

TEST_CASE("memo places of four bytes are places of their own") {
  const std::string put("r\x01\x01\0\0", 5);
  const std::string get("j\x01\x01\0\0", 5);
  std::string program = "\x80\x02}(";
  program += PickleText("a") + PickleTensor(kLongs, 2, {1}, {1}) + "q\x01";
  program += PickleText("b") + PickleTensor(kLongs, 3, {1}, {1}) + put;
  program += PickleText("c") + get + PickleText("d") + "h\x01" + "u.";
  const auto tensors = Parse(program);
  CHECK(Values(tensors.at("c")) == std::vector<int64_t>{13});
  CHECK(Values(tensors.at("d")) == std::vector<int64_t>{12});
}

TEST_CASE("an OrderedDict holds tensors as a dict does") {
  const auto tensors = Parse(std::string("\x80\x02") + PickleGlobal("collections", "OrderedDict") +
                             ")R" + PickleText("x") + PickleTensor(kLongs, 0, {1}, {1}) + "s.");
  CHECK(Values(tensors.at("x")) == std::vector<int64_t>{10});
}

TEST_CASE("the instructions of protocol 4") {
  // MEMOIZE takes the next free place: 0 the dict, 1 its key.
  const std::string rebuild =
      PickleText("torch._utils") + PickleText("_rebuild_tensor_v2") + "\x93";
  const std::string type = PickleText("torch") + PickleText("LongStorage") + "\x93";
  const std::string program = std::string("\x80\x04\x95") + std::string(8, '\x20') + "}\x94(" +
                              PickleText("x") + "\x94" + rebuild + "((" + PickleText("storage") +
                              type + PickleText("0") + PickleText("cpu") + "K\x06tQ" +
                              std::string("M\x01\0", 3) + "\x8a\x01\x02\x85K\x01\x85\x89" +
                              PickleText("collections") + PickleText("OrderedDict") + "\x93)RtR" +
                              std::string("h\x01") + PickleTensor(kLongs, 0, {0}, {1}) + "u.";
  // The key comes twice, the second time through the memo.
  CHECK(Refusal(program).Mentions("twice"));
  const size_t second = program.find(std::string("h\x01"));
  REQUIRE(second != std::string::npos);
  const auto tensors = Parse(program.substr(0, second) + "u.");
  CHECK(tensors.at("x").shape == std::vector<int64_t>{2});
  CHECK(Values(tensors.at("x")) == std::vector<int64_t>{11, 12});
}

TEST_CASE("numbers of every width") {
  const auto first = [](const std::string& offset) {
    const std::string whole = PickleTensor(kLongs, 0x01020304, {1}, {1});
    const std::string marker = PickleNumber(0x01020304);
    std::string code = whole;
    code.replace(code.find(marker), marker.size(), offset);
    return Values(Parse(PickleDict("x", code)).at("x")).at(0);
  };
  CHECK(first("K\x05") == 15);
  CHECK(first(std::string("M\x04\0", 3)) == 14);
  CHECK(first(PickleNumber(3)) == 13);
  CHECK(first(std::string("\x8a\0", 2)) == 10);
  CHECK(first(std::string("\x8a\x02") + std::string("\x02\0", 2)) == 12);
  CHECK(first(std::string("\x8a\x08") + std::string("\x01\0\0\0\0\0\0\0", 8)) == 11);
  CHECK_THROWS_AS(first("\x8a\x01\xff"), base::Error);  // -1
  CHECK_THROWS_AS(first(std::string("\x8a\x08") + std::string(8, '\xff')), base::Error);
  CHECK_THROWS_AS(first(std::string("\x8a\x09") + std::string(9, '\0')), base::Error);
  CHECK_THROWS_AS(first(PickleNumber(-1)), base::Error);
  CHECK_THROWS_AS(first("\x88"), base::Error);
  CHECK_THROWS_AS(first("N"), base::Error);
}

TEST_CASE("nothing is run, and what would be is named") {
  CHECK(Refusal(std::string("\x80\x02") + PickleGlobal("os", "system") + PickleText("true") +
                "\x85R.")
            .Mentions("'os.system'"));
  CHECK(Refusal(std::string("\x80\x04") + PickleText("posix") + PickleText("system") + "\x93" +
                PickleText("true") + "\x85R.")
            .Mentions("'posix.system'"));
  CHECK(Refusal(std::string("\x80\x02") + PickleGlobal("builtins", "eval") + ".")
            .Mentions("'builtins.eval'"));
  CHECK(Refusal(PickleDict("x", PickleGlobal("torch", "LongStorage") + ")R"))
            .Mentions("unknown way"));
  CHECK(Refusal(std::string("\x80\x02") + PickleText("os.system") + ")R.").Mentions("a function"));
  CHECK(Refusal(std::string("\x80\x02") + PickleGlobal("collections", "OrderedDict") +
                PickleNumbers({1}) + "R.")
            .Mentions("OrderedDict"));
  CHECK(Refusal(std::string("\x80\x02") + PickleGlobal("torch._utils", "_rebuild_tensor_v2") +
                PickleNumbers({1, 2}) + "R.")
            .Mentions("unknown way"));
}

TEST_CASE("tensors that reach beyond their storage are refused") {
  constexpr int kHuge = 2147483647;
  for (const auto& code :
       {PickleTensor(kLongs, 1, {2, 3}, {3, 1}), PickleTensor(kLongs, -1, {2}, {1}),
        PickleTensor(kLongs, 7, {1}, {1}), PickleTensor(kLongs, 6, {}, {}),
        PickleTensor(kLongs, 0, {-1}, {1}), PickleTensor(kLongs, 0, {2}, {-1}),
        PickleTensor(kLongs, 0, {7}, {1}), PickleTensor(kLongs, kHuge, {2}, {kHuge}),
        PickleTensor(kLongs, 0, {kHuge, kHuge, kHuge}, {kHuge, kHuge, kHuge}),
        PickleTensor(kLongs, 0, {kHuge, kHuge, kHuge, 0}, {1, 1, 1, 1}),
        PickleTensor(kLongs, 0, {2, 2}, {1}), PickleTensor(kLongs, 0, {2}, {1, 1}),
        PickleTensor(kLongs, 0, std::vector<int>(17, 1), std::vector<int>(17, 1)),
        PickleTensor(PickleStorage("LongStorage", "0", -1), 0, {0}, {1})}) {
    Refusal(PickleDict("x", code));
  }
  // Beyond what the program announces, though the storage would have it.
  CHECK(Refusal(PickleDict("x", PickleTensor(PickleStorage("LongStorage", "0", 5), 0, {6}, {1})))
            .Mentions("beyond its storage"));
  CHECK(Refusal(PickleDict("x", PickleTensor(PickleStorage("LongStorage", "0", 7), 0, {1}, {1})))
            .Mentions("storage '0' is cut short"));
}

TEST_CASE("a few bytes cannot ask for all the memory") {
  // A stride of 0 repeats one element as often as the shape says.
  constexpr int k128MiB = 1 << 24;  // of int64
  CHECK(Refusal(PickleDict("x", PickleTensor(kLongs, 0, {2147483647, 2147483647}, {0, 0})))
            .Mentions("too large"));
  CHECK(Refusal(PickleDict("x", PickleTensor(kLongs, 0, {2 * k128MiB + 1}, {0})))
            .Mentions("too large"));
  std::string program = "\x80\x02}(";
  program += PickleText("a") + PickleTensor(kLongs, 0, {k128MiB}, {0});
  program += PickleText("b") + PickleTensor(kLongs, 0, {k128MiB + 1}, {0});
  CHECK(Refusal(program + "u.").Mentions("too large"));
}

TEST_CASE("a dict of something else than a few named tensors is refused") {
  const std::string tensor = PickleTensor(kLongs, 0, {1}, {1});
  CHECK(Refusal(std::string("\x80\x02") + PickleNumber(1) + ".").Mentions("no dict"));
  CHECK(Refusal(std::string("\x80\x02") + tensor + ".").Mentions("no dict"));
  CHECK(Refusal("\x80\x02(.").Mentions("no dict"));
  CHECK(Refusal(PickleDict("x", PickleNumber(1))).Mentions("named tensors"));
  CHECK(Refusal(PickleDict("x", "}")).Mentions("named tensors"));
  CHECK(Refusal(std::string("\x80\x02}") + PickleNumber(1) + tensor + "s.")
            .Mentions("named tensors"));
  std::string many = "\x80\x02}(";
  for (int i = 0; i < 33; ++i) many += PickleText("t" + std::to_string(i)) + tensor;
  CHECK(Refusal(many + "u.").Mentions("named tensors"));
  CHECK(Refusal(std::string("\x80\x02}(") + PickleText("x") + tensor + PickleText("x") + tensor +
                "u.")
            .Mentions("twice"));
}

TEST_CASE("damaged programs are refused") {
  const std::string good = PickleDict("x", PickleTensor(kLongs, 0, {2, 3}, {3, 1}));
  CHECK(Parse(good).size() == 1);
  for (size_t cut = 0; cut < good.size(); ++cut) {
    CAPTURE(cut);
    Refusal(good.substr(0, cut));
  }
  const std::vector<std::pair<std::string, std::string>> cases{
      {".", "empty stack"},
      {"\x80\x02R.", "empty stack"},
      {"\x80\x02t.", "empty stack"},  // no mark
      {"\x80\x02q\x01.", "empty stack"},
      {"\x80\x02\x94.", "empty stack"},
      {"\x80\x02Nu.", "empty stack"},
      {"\x80\x02)Q.", "unknown way"},
      {"\x80\x02NQ.", "a storage"},
      {"\x80\x01}.", "unknown version"},
      {"\x80\x09}.", "unknown version"},
      {"\x80\x02}i.", "instruction 0x69"},
      {"\x80\x02}\xff", "instruction 0xff"},
      {"\x80\x02h\x05.", "not remembered"},
      {std::string("\x80\x02j\xff\xff\xff\xff.", 8), "not remembered"},
      {"\x80\x02}(Nu.", "half a pair"},
      {"\x80\x02(NNu.", "half a pair"},  // nothing below the mark
      {"\x80\x02N(NNu.", "no dict"},
      {"\x80\x02NNNs.", "no dict"},
      {"\x80\x02NN\x93.", "a module"},
      {std::string("\x80\x02X\xff\xff\xff\xff.", 8), "too long"},
      {std::string("\x80\x02X") + std::string("\xd0\x07\0\0", 4) + std::string(2000, 'x') + ".",
       "too long"},
      {std::string("\x80\x02") + PickleGlobal(std::string(2000, 'x'), "y") + ".", "too long"},
      {"\x80\x04\x95\x01", "cut short"}};
  for (const auto& [program, part] : cases) {
    CAPTURE(part);
    const auto thrown = Refusal(program);
    CAPTURE(thrown.message);
    CHECK(thrown.Mentions(part));
  }
}

TEST_CASE("a program that goes on for ever is stopped") {
  constexpr size_t kLong = 100'000;
  CHECK(Refusal(std::string(kLong, '(')).Mentions("too large"));
  CHECK(Refusal(std::string(kLong, ')') + "t.").Mentions("too large"));
  std::string puts = "}";
  for (size_t i = 0; i < kLong; ++i) puts += "\x94";
  CHECK(Refusal(puts + ".").Mentions("too large"));
  // As many items below one mark as are allowed: in well under a second.
  CHECK(Refusal(std::string("(") + std::string(60'000, 'N') + "t.").Mentions("no dict"));
}

TEST_CASE("nesting and cycles neither end the process nor leak") {
  // The leak check of the sanitized build watches the cycles.
  CHECK(Refusal(std::string("\x80\x02}q\0", 5) + PickleText("x") + std::string("h\0s.", 4))
            .Mentions("named tensors"));
  CHECK(Refusal(std::string("\x80\x02}q\0", 5) + PickleText("x") + std::string("h\0\x85s.", 5))
            .Mentions("named tensors"));
  CHECK(Refusal(std::string("\x80\x02}q\0", 5) + PickleText("x") + std::string("h\0s", 3))
            .Mentions("cut short"));
  CHECK(Refusal(std::string(")") + std::string(60'000, '\x85') + ".").Mentions("no dict"));
  std::string dicts = "}";
  for (int i = 0; i < 10'000; ++i) dicts += "}K\x01";
  for (int i = 0; i < 10'000; ++i) dicts += "s";
  Refusal(dicts + ".");
}

}  // namespace
}  // namespace ppx::weights
