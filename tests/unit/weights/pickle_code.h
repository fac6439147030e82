// tests/unit/weights/pickle_code.h: pickle programs, put together by hand.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace ppx::testing {

inline std::string PickleText(const std::string& text) {  // SHORT_BINUNICODE
  return std::string("\x8c") + static_cast<char>(text.size()) + text;
}
inline std::string PickleNumber(int value) {  // BININT
  std::string code(5, 'J');
  std::memcpy(code.data() + 1, &value, 4);
  return code;
}
inline std::string PickleNumbers(const std::vector<int>& values) {  // a tuple
  std::string code = "(";
  for (const int value : values) code += PickleNumber(value);
  return code + "t";
}
inline std::string PickleGlobal(const std::string& module, const std::string& name) {
  return std::string("c") + module + "\n" + name + "\n";
}
inline std::string PickleStorage(const std::string& type, const std::string& key, int elements) {
  return std::string("(") + PickleText("storage") + PickleGlobal("torch", type) + PickleText(key) +
         PickleText("cpu") + PickleNumber(elements) + "tQ";
}
// _rebuild_tensor_v2(storage, offset, shape, strides, False, OrderedDict())
inline std::string PickleTensor(const std::string& storage, int offset,
                                const std::vector<int>& shape, const std::vector<int>& strides) {
  return PickleGlobal("torch._utils", "_rebuild_tensor_v2") + "(" + storage + PickleNumber(offset) +
         PickleNumbers(shape) + PickleNumbers(strides) + "\x89" +
         PickleGlobal("collections", "OrderedDict") + ")RtR";
}
// A dict of one key.
inline std::string PickleDict(const std::string& key, const std::string& value) {
  return std::string("\x80\x02}") + PickleText(key) + value + "s.";
}

}  // namespace ppx::testing
